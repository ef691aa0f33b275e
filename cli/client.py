# SPDX-License-Identifier: Apache-2.0
"""A Hilum server over HTTP: what `send`, `status`, `report` and the demo call."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from cli import events
from cli.packing import Parcel, Sent
from hilum.errors import HilumError, InputError, ServerUnreachable, TransientError
from hilum.jobs import FINAL_STATES

ANSWER_LIMIT_S: Final = 60.0
"""Unpacking and checking a large study takes the server a while after the last byte."""

TRIES: Final = 5
"""Times a question is asked while the server does not answer."""

LONGEST_WAIT_S: Final = 30.0
"""Longest pause between two looks at a job or a batch, whatever the server asks for."""

SILENCE_S: Final = 45.0
"""A stream that is silent for so long is broken: it speaks every fifteen seconds at least."""

JOB: Final = "job"
"""Name of the event that carries a job."""

Answer = TypeVar("Answer")


class _NoStream(Exception):
    """Raised where a stream is not to be had; asking for the job tells why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for along with a study; None leaves the choice to the server.

    Attributes:
        pipeline, network, priority: of the job.
        callback_url: told when the job has ended.
        idempotency_key: the same key answers the same job.
        batch: id of the batch that the job joins.
    """

    pipeline: str | None = None
    network: str | None = None
    priority: str | None = None
    callback_url: str | None = None
    idempotency_key: str | None = None
    batch: str | None = None

    @property
    def query(self) -> dict[str, str]:
        """The part that travels in the address."""
        named = {
            "pipeline": self.pipeline,
            "network": self.network,
            "priority": self.priority,
            "callback_url": self.callback_url,
            "batch": self.batch,
        }
        return {name: value for name, value in named.items() if value is not None}


class Client:
    """Asks one server as one hospital."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_LIMIT_S
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def send_study(self, parcel: Parcel, order: Order, sent: Sent) -> Mapping[str, Any]:
        """Send a study and return its job; the same study again is answered with the same job.

        Raises:
            InputError: the server refuses the study or the order.
            TransientError: the server cannot take it now.
        """
        headers = {"Content-Type": "application/zip"}
        if order.idempotency_key is not None:
            headers["Idempotency-Key"] = order.idempotency_key
        with _translated():
            answer = self._http.post(
                "/v1/studies", params=order.query, headers=headers, content=parcel.stream(sent)
            )
        return _document(answer)

    def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Return the JSON at a path of the API."""
        return _patiently(lambda: _document(self._get(path, query)))

    def post(self, path: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send JSON to a path of the API, once, and return the answer."""
        with _translated():
            answer = self._http.post(path, json=dict(document))
        return _document(answer)

    def jobs(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield a job again and again, as often as the server likes, until it has ended."""
        yield from self._until(f"/v1/jobs/{job_id}", lambda job: job["state"] in FINAL_STATES)

    def batches(self, batch_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield a batch again and again, as often as the server likes, until it is finished."""
        yield from self._until(f"/v1/batches/{batch_id}", lambda batch: batch["finished"])

    def _until(
        self, path: str, is_over: Callable[[Mapping[str, Any]], bool]
    ) -> Iterator[Mapping[str, Any]]:
        while True:
            answer = _patiently(lambda: _checked(self._get(path, {})))
            document = answer.json()
            yield document
            if is_over(document):
                return
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), LONGEST_WAIT_S))

    def follow(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield a job whenever something changed, until it has ended.

        By its stream, which is opened again where it ends or breaks off; by asking again and again
        where the server has none, or none to spare.
        """
        barren = 0
        while barren < TRIES:
            barren += 1
            try:
                for job in self._streamed(job_id):
                    barren = 0
                    yield job
                    if job["state"] in FINAL_STATES:
                        return
            except _NoStream:
                break
            except TransientError:
                # The server may be starting again.
                pass
            time.sleep(2.0**barren / 4)
        yield from self.jobs(job_id)

    def _streamed(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        headers = {"Accept": events.MEDIA_TYPE}
        limits = httpx.Timeout(ANSWER_LIMIT_S, read=SILENCE_S)
        path = f"/v1/jobs/{job_id}/stream"
        with (
            _translated(),
            self._http.stream("GET", path, headers=headers, timeout=limits) as answer,
        ):
            if not answer.headers.get("Content-Type", "").startswith(events.MEDIA_TYPE):
                raise _NoStream
            for event in events.read_events(answer.iter_lines()):
                if event.name == JOB:
                    yield json.loads(event.data)

    def download(self, path: str, target: Path) -> None:
        """Save what lies at a path of the API, whole or not at all."""
        part = target.with_name(f"{target.name}.part")
        with _translated(), self._http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
                raise error_of(answer)
            with part.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        part.replace(target)

    def _get(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        with _translated():
            return self._http.get(path, params=dict(query))


def error_of(answer: httpx.Response) -> HilumError:
    """Return the error that a problem document names, as the class it is here too."""
    try:
        problem = answer.json()
        code, detail = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        # Something between here and the server answered, such as a proxy.
        code, detail = "", f"{answer.request.url} answered {answer.status_code}, expected Hilum."
    family = TransientError if _may_pass(answer.status_code) else InputError
    return _by_code().get(code, family)(detail)


def _may_pass(status: int) -> bool:
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def _by_code() -> Mapping[str, type[HilumError]]:
    found: dict[str, type[HilumError]] = {}
    families = [HilumError]
    while families:
        family = families.pop()
        found[family.code] = family
        families.extend(family.__subclasses__())
    return found


def _document(answer: httpx.Response) -> Mapping[str, Any]:
    document: Mapping[str, Any] = _checked(answer).json()
    return document


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise error_of(answer)
    return answer


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise ServerUnreachable(
            f"{error.request.url.copy_with(query=None)} does not answer: {error}."
        ) from error


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again where the trouble may pass; a job outlives a server that is restarted."""
    for attempt in range(TRIES - 1):
        try:
            return ask()
        except TransientError:
            time.sleep(2.0**attempt / 2)
    return ask()
