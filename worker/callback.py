# SPDX-License-Identifier: Apache-2.0
"""Telling a client's own server that a job has ended, and being led nowhere else by it."""

import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpcore
import structlog

from db.session import Sessions
from db.tables import JobRow
from hilum.addresses import is_public
from hilum.errors import ServerUnreachable, UnsafeCallback
from hilum.settings import Settings

TIMEOUT_S = 5.0
"""For each step of a call; a GPU waits meanwhile."""

LATER = frozenset({408, 425, 429})
"""Answers below 500 that ask to come again."""

HEADERS: Mapping[bytes | str, bytes | str] = {
    "Content-Type": "application/json",
    "User-Agent": "hilum",
}

log = structlog.get_logger(__name__)


def call_back(job_id: UUID, sessions: Sessions, settings: Settings) -> None:
    """Post an ended job to its callback address.

    Raises:
        ServerUnreachable: the client's server was not there, or asked to come again.
    """
    with sessions.begin() as session:
        job = session.get(JobRow, job_id)
        if job is None or job.callback_url is None or not job.is_final:
            return
        url, content = job.callback_url, json.dumps(_describe(job)).encode()
    # The path and query of a callback may hold a secret of the client's.
    bound = log.bind(job_id=str(job_id), host=urlsplit(url).hostname)
    try:
        status = _post(url, content, allow_private=settings.callback_private)
    except UnsafeCallback as error:
        bound.warning("callback.refused", reason=error.message)
        return
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        raise ServerUnreachable(
            f"Job {job_id}: its callback met {type(error).__name__}."
        ) from error
    if status >= 500 or status in LATER:  # noqa: PLR2004 - the border of server errors
        raise ServerUnreachable(f"Job {job_id}: its callback answered {status}, expected 200-299.")
    bound.info("callback.answered", status=status)


def _describe(job: JobRow) -> dict[str, Any]:
    failed = {"code": job.error_code, "message": job.error_message}
    return {
        "id": str(job.id),
        "study_id": str(job.study_id),
        "study_uid": job.study.study_uid,
        "pipeline": job.pipeline,
        "network": job.network,
        "state": job.state,
        "attempts": job.attempts,
        "error": failed if job.error_code else None,
        "timings_s": job.timings_s,
        "finished_at": job.finished_at and job.finished_at.isoformat(),
    }


def _post(url: str, content: bytes, *, allow_private: bool) -> int:
    backend = None if allow_private else PublicBackend()
    limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)}
    # No redirects, no proxies, no cookies, and the answer's body is nobody's business here.
    with (
        httpcore.ConnectionPool(network_backend=backend) as pool,
        pool.stream("POST", url, headers=HEADERS, content=content, extensions=limits) as response,
    ):
        return response.status


class PublicBackend(httpcore.SyncBackend):
    """Connects to public addresses alone.

    The check is on the very address that is connected to: a name that was harmless when the job
    was submitted may point into the hospital's own network by now.
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host, where every one of them is public.

        Raises:
            UnsafeCallback: one of them is not.
        """
        address = _public_address(host, port)
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


def _public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(address):
            raise UnsafeCallback(f"The callback leads to {address}, expected a public address.")
    return addresses[0]
