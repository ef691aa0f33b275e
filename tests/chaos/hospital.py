"""Clients that do as docs/api.md tells them: a key for each request, and again where it was not heard."""

import time
from dataclasses import dataclass, field
from random import Random
from threading import Event

import httpx

from hilum.jobs import Priority
from tests.chaos.studies import POISON, zipped

PATIENCE_S = 180.0
"""No outage of a run lasts so long."""

CANCELLED_SHARE = 0.03
POISON_SHARE = 0.01


@dataclass
class Hospital:
    """One client.

    Attributes:
        name: of its tenant.
        number: in the UIDs of its studies.
        key: of the API.
        url: of the server.
        promised: the job that each of its requests was answered with, by the request's own key.
        cancelled: jobs that it asked to be stopped.
        refused: answers that were no promise, by status.
    """

    name: str
    number: int
    key: str
    url: str
    promised: dict[str, str] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)

    def submit(self, count: int, random: Random, over: Event, *, rest_s: float = 0.0) -> None:
        """Send so many requests: a new study each, and every second time the last one once more."""
        study_id = ""
        for number in range(count):
            if over.wait(rest_s):
                return
            key = f"{self.name}-{number}"
            query = {"priority": random.choice([one.value for one in Priority])}
            if number % 2 == 0 or not study_id:
                job = self._send(key, self._study(number, random), query)
                study_id = job["study_id"]
            else:
                job = self._run_again(key, study_id, query)
            self.promised[key] = job["id"]
            if random.random() < CANCELLED_SHARE:
                self._cancel(job["id"])

    def _study(self, number: int, random: Random) -> bytes:
        is_poison = random.random() < POISON_SHARE
        return zipped(f"1.2.826.{self.number}.{number}.{POISON if is_poison else 1}")

    def _send(self, key: str, body: bytes, query: dict[str, str]) -> dict[str, str]:
        headers = {"Idempotency-Key": key, "Content-Type": "application/zip"}
        return self._until_heard("POST", "/v1/studies", headers, params=query, content=body)

    def _run_again(self, key: str, study_id: str, query: dict[str, str]) -> dict[str, str]:
        order = query | {"study_id": study_id, "network": "resnet101"}
        return self._until_heard("POST", "/v1/jobs", {"Idempotency-Key": key}, json=order)

    def _cancel(self, job_id: str) -> None:
        try:
            answer = httpx.delete(
                f"{self.url}/v1/jobs/{job_id}", headers=self._headers(), timeout=10
            )
        except httpx.HTTPError:
            return
        if answer.is_success:
            self.cancelled.append(job_id)

    def _until_heard(
        self, method: str, path: str, headers: dict[str, str], **more: object
    ) -> dict[str, str]:
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = httpx.request(  # type: ignore[arg-type] # whatever the caller gave
                    method, self.url + path, headers=self._headers() | headers, timeout=30, **more
                )
                if answer.status_code == 202:
                    found: dict[str, str] = answer.json()
                    return found
                self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1
                assert answer.status_code in {429, 500, 503, 507}, answer.text
            except httpx.HTTPError:
                self.refused[0] = self.refused.get(0, 0) + 1
            assert time.monotonic() < give_up, f"{path} was not answered for {PATIENCE_S} s."
            time.sleep(0.2)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}
