import socket

import pytest

from api.callbacks import LONGEST, check_callback
from hilum.errors import UnsafeCallback


@pytest.mark.parametrize(
    "url",
    [
        "https://93.184.216.34/hook",
        "http://93.184.216.34:8080/hook?a=b",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/hook",
    ],
)
def test_public_address_may_be_called(url: str) -> None:
    check_callback(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://224.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
    ],
)
def test_address_inside_is_not_called_unless_allowed(url: str) -> None:
    with pytest.raises(UnsafeCallback, match="public"):
        check_callback(url, allow_private=False)

    check_callback(url, allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http:///hook",
        "http://user@example.org/",
        "http://:secret@example.org/",
        "http://example.org:99999/",
        "http://exa mple.org/",
        "http://example.org/\r\nX: y",
        "http://[::1/",
        "http://example.org/\x00",
        "http://münchen.example/",
        "https://example.org/" + "x" * LONGEST,
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    for allow_private in (True, False):
        with pytest.raises(UnsafeCallback):
            check_callback(url, allow_private=allow_private)


def test_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: inside)

    with pytest.raises(UnsafeCallback, match=r"10\.1\.2\.3"):
        check_callback("https://pacs.example.org/", allow_private=False)


def test_name_that_is_not_known_now_is_left_to_the_courier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    check_callback("https://pacs.example.org/", allow_private=False)
