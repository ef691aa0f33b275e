import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.push import guarded
from api.push.guarded import post
from hilum.errors import Undelivered, UnsafeCallback
from tests.api.push.archives import Service, free_port
from tests.api.push.receivers import Receiver, dripping, silent


def send(url: str, *, allow_private: bool = True) -> int:
    return post(url, b"{}", {"webhook-id": "7"}, allow_private=allow_private)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls end soon."""
    monkeypatch.setattr(guarded, "STEP_S", 0.3)
    monkeypatch.setattr(guarded, "WHOLE_S", 0.6)


@pytest.fixture
def inside() -> Iterator[tuple[Receiver, int]]:
    """A server within the network, and its port."""
    receiver = Receiver()
    with receiver.running() as url:
        yield receiver, int(url.split(":")[2].split("/")[0])


def test_body_and_headers_arrive_as_they_are() -> None:
    receiver = Receiver([202])
    with receiver.running() as url:
        status = send(url)

    [call] = receiver.calls
    assert (status, call.body, call.path) == (202, b"{}", "/hook?token=t")
    assert call.headers["content-type"] == "application/json"
    assert call.headers["webhook-id"] == "7"


def test_redirect_is_an_answer_and_not_followed() -> None:
    receiver = Receiver([307])
    with receiver.running() as url:
        assert send(url) == 307

    assert [call.path for call in receiver.calls] == ["/hook?token=t"]


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    receiver = Receiver()
    with receiver.running() as url:
        assert send(url) == 204


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"])
def test_address_inside_the_network_is_not_called(host: str, inside: tuple[Receiver, int]) -> None:
    receiver, port = inside

    with pytest.raises(UnsafeCallback):
        send(f"http://{host}:{port}/", allow_private=False)

    assert receiver.calls == []


@pytest.mark.parametrize("host", ["10.0.0.7", "169.254.169.254", "[::1]", "[fe80::1]", "[fc00::1]"])
def test_private_networks_are_not_even_knocked_at(host: str) -> None:
    with pytest.raises(UnsafeCallback):
        send(f"http://{host}/", allow_private=False)


def test_name_that_leads_inside_by_now_is_not_called(
    inside: tuple[Receiver, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, port = inside
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))
    private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [public, private])

    with pytest.raises(UnsafeCallback):
        send(f"http://rebound.example:{port}/", allow_private=False)

    assert receiver.calls == []


def test_very_address_that_was_looked_at_is_connected_to(
    inside: tuple[Receiver, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, port = inside
    asked: list[Any] = []
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guarded, "is_public", lambda _address: True)

    assert send(f"http://rebinding.example:{port}/", allow_private=False) == 204

    # A second look-up could be answered otherwise; connecting asks for what is a number already.
    assert [host for host in asked if host != "127.0.0.1"] == ["rebinding.example"]
    assert len(receiver.calls) == 1


def test_host_that_is_reached_by_its_second_address_is_reached(
    inside: tuple[Receiver, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, port = inside
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "two.example":
            return real(host, *arguments, **options)
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 1))
        return [dead, *real("127.0.0.1", *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert send(f"http://two.example:{port}/") == 204
    assert len(receiver.calls) == 1


def test_server_that_is_not_there_is_told_of_without_its_address() -> None:
    with pytest.raises(Undelivered, match="ConnectError") as caught:
        send(f"http://127.0.0.1:{free_port()}/hook?token=secret")

    assert "secret" not in caught.value.message


@pytest.mark.usefixtures("hurry")
def test_server_that_never_answers_is_left() -> None:
    began = time.monotonic()
    with silent() as url, pytest.raises(Undelivered, match="ReadTimeout"):
        send(url)

    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("hurry")
def test_server_that_answers_a_byte_at_a_time_is_left() -> None:
    began = time.monotonic()
    with dripping() as url, pytest.raises(Undelivered, match="Timeout"):
        send(url)

    assert time.monotonic() - began < 5


def test_long_answer_is_not_read() -> None:
    service = Service(200, b"x" * 50_000_000)
    with service.running() as url:
        assert send(url) == 200


def test_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[str, str]) -> None:
    service = Service(200)
    with service.running(certificate) as url, pytest.raises(Undelivered, match="ConnectError"):
        send(url.replace("127.0.0.1", "localhost"))

    assert service.requests == []


def test_certificate_of_an_authority_that_is_trusted_is_taken(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    service = Service(200)
    with service.running(certificate) as url:
        assert send(url.replace("127.0.0.1", "localhost")) == 200


def test_what_is_no_http_at_all_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def babble() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(Undelivered, match="RemoteProtocolError"):
            send(f"http://127.0.0.1:{port}/")
        thread.join()
