"""Archives that take what is sent: DCMTK's, and ones that answer what a test wants."""

import json
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom import _config as pynetdicom_config
from pynetdicom.events import Event

from hilum.destinations import Dimse
from tests.programs import installed
from tests.worker.processes import until

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Archive:
    """A DICOM archive that runs.

    Attributes:
        address: where.
        folder: where it keeps what came.
    """

    address: Dimse
    folder: Path

    @property
    def objects(self) -> list[Dataset]:
        """What came, by class."""
        found = [dcmread(path, force=True) for path in self.folder.iterdir()]
        return sorted(found, key=lambda one: str(one.SOPClassUID))


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Archive]:
    """Run DCMTK's archive for the length of a `with` block."""
    folder.mkdir()
    port = free_port()
    program = installed("storescp", package="dcmtk")
    command = [program, *options, "--output-directory", str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port))
            yield Archive(Dimse("ANY-SCP", HOST, port), folder)
        finally:
            process.terminate()


@dataclass
class Scripted:
    """An archive that answers each object with the next status, and the last one for ever.

    Attributes:
        statuses: what it answers; None breaks the association off.
        syntaxes: transfer syntaxes that it reads; all where there is none.
        going_on: no answer is given before it is set.
        received: SOP classes and transfer syntaxes of what came.
    """

    statuses: list[int | None]
    syntaxes: list[str] = field(default_factory=list)
    going_on: threading.Event | None = None
    received: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, event: Event) -> int:
        """Answer one C-STORE."""
        context = event.context
        self.received.append((str(event.request.AffectedSOPClassUID), context.transfer_syntax))
        if self.going_on is not None:
            self.going_on.wait(60)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            event.assoc.abort()
            return 0xA700
        return status

    @contextmanager
    def running(self, *, title: str = "PACS") -> Iterator[Dimse]:
        """Run it for the length of a `with` block."""
        entity = AE(title)
        entity.require_called_aet = True
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), self.syntaxes or None)
        server = entity.start_server(
            (HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.answer)]
        )
        # Our own service takes whatever comes, and pynetdicom asks one switch for all of a process.
        before = pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE
        pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE = False
        try:
            yield Dimse("PACS", HOST, server.server_address[1])
        finally:
            pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE = before
            server.shutdown()


@dataclass
class Service:
    """A DICOMweb service that answers as it is told.

    Attributes:
        status: of its answers.
        body: of its answers; a document where it is one.
        requests: method, path, headers and body of what came.
    """

    status: int
    body: Any = b""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    @contextmanager
    def running(self, certificate: tuple[str, str] | None = None) -> Iterator[str]:
        """Run it for the length of a `with` block, by TLS with a certificate and its key."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.requests.append((self.command, self.path, headers, body))
                data = service.body
                data = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(service.status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        with HTTPServer((HOST, 0), Handler) as server:
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "http" if certificate is None else "https"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"{scheme}://{HOST}:{server.server_address[1]}/dicom-web"
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def relayed(to: Dimse, *, most: int | None = None, pause_s: float = 0.0) -> Iterator[Dimse]:
    """Put a poor link before an archive.

    Args:
        to: the archive.
        most: bytes after which it reads no more, and keeps the connection.
        pause_s: between two reads.
    """
    ended = threading.Event()
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(60)
        thread = threading.Thread(target=_relay, args=(server, to, most, pause_s, ended))
        thread.start()
        try:
            yield replace(to, port=server.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def _relay(
    server: socket.socket, to: Dimse, most: int | None, pause_s: float, ended: threading.Event
) -> None:
    caller, _ = server.accept()
    with caller, socket.create_connection((to.host, to.port)) as archive:
        count = 0
        while not ended.is_set():
            for one in select.select([caller, archive], [], [], 0.05)[0]:
                if one is caller and most is not None and count > most:
                    ended.wait(60)
                    return
                data = one.recv(256 * 1024)
                if not data:
                    return
                if one is caller:
                    count += len(data)
                    time.sleep(pause_s)
                (archive if one is caller else caller).sendall(data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
