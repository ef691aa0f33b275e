"""Servers of hospitals that are told how jobs ended, and what may be wrong with them."""

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.api.push.archives import HOST
from tests.programs import installed


@dataclass(frozen=True)
class Call:
    """What a server was sent.

    Attributes:
        path: with its query.
        headers: by name in small letters.
        body: to the byte.
    """

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def signatures(self) -> list[str]:
        return self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """A server that keeps what it is sent.

    Attributes:
        statuses: what it answers, one after the other, and the last one for ever.
        going_on: no answer is given before it is set.
        calls: what came.
    """

    statuses: list[int] = field(default_factory=lambda: [204])
    going_on: threading.Event | None = None
    calls: list[Call] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Run it for the length of a `with` block."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append(Call(self.path, headers, body))
                if receiver.going_on is not None:
                    receiver.going_on.wait(60)
                statuses = receiver.statuses
                # Whoever called may have been killed meanwhile.
                with suppress(OSError):
                    self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                    self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer((HOST, 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/hook?token=t"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """Run a server that takes calls and never answers, for the length of a `with` block."""
    with socket.create_server((HOST, 0), backlog=64) as server:
        yield f"http://{HOST}:{server.getsockname()[1]}/hook"


@contextmanager
def dripping() -> Iterator[str]:
    """Run a server that answers a byte at a time and never ends, likewise."""
    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=_drip, args=(server,))
        thread.start()
        try:
            yield f"http://{HOST}:{server.getsockname()[1]}/hook"
        finally:
            thread.join()


def _drip(server: socket.socket) -> None:
    server.settimeout(60)
    caller, _ = server.accept()
    with caller, suppress(OSError):
        caller.sendall(b"HTTP/1.1 200 OK\r\nX-Word: ")
        while True:
            caller.sendall(b"x")
            time.sleep(0.05)


def signature_by_openssl(call: Call, secret: str) -> str:
    """Return how a call should be signed, by somebody else's HMAC."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = call.headers["webhook-timestamp"]
    command = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    made = subprocess.run(
        [installed("openssl", package="openssl"), *command],
        input=f"{call.id}.{stamp}.".encode() + call.body,
        capture_output=True,
        check=True,
    )
    return f"v1,{base64.b64encode(made.stdout).decode()}"
