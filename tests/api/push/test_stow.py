import io
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from api.push import stow
from api.push.outgoing import Outgoing
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import new_key
from hilum.destinations import Stow, parse_service
from hilum.errors import Undelivered
from hilum.settings import Settings
from tests.api.push.archives import Service, free_port
from tests.api.server import running_server


def failed(*reasons: int) -> dict[str, Any]:
    """The answer of a service that did not take some (PS3.18 Table 10.5.3-1)."""
    items = [{"00081197": {"vr": "US", "Value": [one]}} for one in reasons]
    return {"00081198": {"vr": "SQ", "Value": items}}


def test_results_reach_another_hilum(
    results: list[Outgoing],
    settings: Settings,
    sessions: Sessions,
    tenant: TenantRow,
    tmp_path: Path,
) -> None:
    with sessions.begin() as session:
        key = new_key(session, tenant.name, "push")
    with running_server(settings) as server:
        to = parse_service(f"{server.url}/dicom-web/", authorization=f"Bearer {key}")
        stow.echo(to, settings)
        stow.store(results, to, tmp_path, settings)
        with pytest.raises(Undelivered, match="answered 401"):
            stow.store(results, Stow(to.url), tmp_path, settings)

    inbox = [dcmread(path) for path in settings.spool_dir.rglob("inbox/**/*.dcm")]
    assert {one.SOPInstanceUID for one in inbox} == {one.sop_instance_uid for one in results}


def test_request_is_one_multipart_of_a_known_length(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    service = Service(200, {})

    with service.running() as url:
        stow.store(results, Stow(url, "Bearer secret"), tmp_path, settings)

    [(method, path, headers, body)] = service.requests
    assert (method, path) == ("POST", "/dicom-web/studies")
    assert headers["authorization"] == "Bearer secret"
    assert int(headers["content-length"]) == len(body)
    whole = f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body
    message = BytesParser().parsebytes(whole)
    sent = [dcmread(io.BytesIO(part.get_payload(decode=True))) for part in message.get_payload()]
    assert [one.SOPInstanceUID for one in sent] == [one.sop_instance_uid for one in results]
    # Few services read what is deflated.
    assert {one.file_meta.TransferSyntaxUID for one in sent} == {ExplicitVRLittleEndian}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, b""),
        (200, b"<NativeDicomModel/>"),
        (202, {"00081199": {"vr": "SQ", "Value": [{}]}}),
        (200, []),
        (409, failed(0x0111, 0x0111)),
        (409, [failed(0x0111)]),
    ],
)
def test_services_say_yes_in_several_ways(
    status: int, body: Any, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    with Service(status, body).running() as url:
        stow.store(results, Stow(url), tmp_path, settings)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (202, failed(0xA700, 0x0110), "2 objects, for the reasons 0x0110, 0xA700"),
        (200, failed(0x0122), "1 objects, for the reasons 0x0122"),
        (202, failed(0x0111, 0xC000), "for the reasons 0x0111, 0xC000"),
        (200, [failed(0xC000)], "1 objects, for the reasons 0xC000"),
        (202, b"<NativeDicomModel/>", "answered 202, and not why"),
        (202, b"", "answered 202, and not why"),
        (202, {"00081198": {"vr": "SQ", "Value": [None]}}, "1 objects, for the reasons 0x0000"),
        (202, {"00081198": {"Value": [{"00081197": {"Value": []}}]}}, "for the reasons 0x0000"),
        (409, {}, "answered 409"),
        (409, b"no JSON", "answered 409"),
        (409, [1, 2], "answered 409"),
        (400, {}, "answered 400"),
        (302, b"", "answered 302"),
        (503, b"", "answered 503"),
    ],
)
def test_services_say_no_in_several_ways(
    status: int, body: Any, reason: str, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    service = Service(status, body)

    with service.running() as url, pytest.raises(Undelivered, match=reason):
        stow.store(results, Stow(url), tmp_path, settings)

    # Nobody is led elsewhere.
    assert len(service.requests) == 1


@pytest.mark.parametrize("body", [failed(), {"00081198": {"vr": "SQ", "Value": [{}]}}])
def test_failure_without_a_reason_is_a_failure(
    body: Any, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    with Service(409, body).running() as url, pytest.raises(Undelivered, match="409"):
        stow.store(results, Stow(url), tmp_path, settings)


def test_service_that_is_away_is_said_without_its_secret(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    away = Stow(f"http://127.0.0.1:{free_port()}", "Bearer secret")

    with pytest.raises(Undelivered, match="does not answer") as refusal:
        stow.store(results, away, tmp_path, settings)
    assert "secret" not in refusal.value.message
    with pytest.raises(Undelivered, match="does not answer"):
        stow.echo(away, settings)


def test_echo_says_what_a_service_answers(settings: Settings) -> None:
    with Service(403).running() as url, pytest.raises(Undelivered, match="answered 403"):
        stow.echo(Stow(url), settings)


@pytest.mark.parametrize("known", [True, False])
def test_service_is_checked_by_the_authorities_that_are_named(
    certificate: tuple[str, str], settings: Settings, *, known: bool
) -> None:
    public, _ = certificate
    trusting = settings.model_copy(update={"dimse_authorities": public})
    with Service(200, b"[]").running(certificate) as url:
        to = Stow(url.replace("127.0.0.1", "localhost"))
        if known:
            stow.echo(to, trusting)
        else:
            with pytest.raises(Undelivered, match="ConnectError"):
                stow.echo(to, settings)
