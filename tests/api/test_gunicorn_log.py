"""What Gunicorn itself says: JSON, and nothing of what a client wrote."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from hilum.settings import Settings
from tests.api.server import running_server

LINES = (
    "GET /dicom-web/studies?PatientName=M\u00fcller* HTTP/1.1",
    "GET /dicom-web/studies?PatientName=Muster M\u00fcller HTTP/1.1",
    "GET /v1/reports HTTP/1.1\r\nX-Odd Header: M\u00fcller",
)


def test_request_that_is_no_http_leaves_no_name_in_the_log(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(settings) as server:
        address = urlsplit(server.url)
        for line in LINES:
            with socket.create_connection((address.hostname, address.port), timeout=10) as client:
                client.sendall(f"{line}\r\nHost: x\r\n\r\n".encode())
                assert b" 400 " in client.recv(4096)

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line]
    assert sum("is no HTTP" in one["event"] for one in said) == len(LINES)
    assert [one for one in said if "ller" in json.dumps(one, ensure_ascii=False)] == []
    assert {"Booting", "Shutting"} <= {one["event"].split()[0] for one in said}
