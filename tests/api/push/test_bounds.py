"""What an admin of one hospital named is called within the networks of the installation alone."""

import socket
from pathlib import Path

import pytest

from api.push import courier
from api.push.bounds import place_of
from hilum.destinations import Address, Dimse, Stow
from hilum.errors import NotPermitted, Undelivered
from hilum.settings import Settings
from tests.api.push.archives import Service, free_port, storescp


def within(settings: Settings, networks: str) -> Settings:
    return settings.model_copy(update={"destination_networks": networks})


@pytest.mark.parametrize(
    ("host", "networks", "is_inside"),
    [
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("10.2.2.3", "10.1.0.0/16, 10.2.2.3", True),
        ("::ffff:10.1.2.3", "10.1.0.0/16", True),
        ("fd00:1::7", "fd00:1::/48", True),
        ("fd00:2::7", "fd00:1::/48,", False),
        ("localhost", "127.0.0.0/8, ::1", True),
        ("2130706433", "10.0.0.0/8", False),
        ("0177.0.0.1", "10.0.0.0/8", False),
        ("10.1.2.3", "", False),
    ],
)
def test_host_is_reached_inside_of_the_networks_alone(
    settings: Settings, host: str, networks: str, *, is_inside: bool
) -> None:
    url = f"https://[{host}]/" if ":" in host else f"https://{host}/"
    archives: list[Address] = [Dimse("PACS", host, 104, is_bounded=True), Stow(url, "", True)]

    for to in archives:
        if is_inside:
            place = place_of(to, within(settings, networks))
            # What was looked at is what is connected to.
            assert socket.getaddrinfo(place, None, flags=socket.AI_NUMERICHOST)
        else:
            with pytest.raises(NotPermitted, match="Ask somebody who administers all hospitals"):
                place_of(to, within(settings, networks))


def test_archive_that_is_not_bounded_is_reached_wherever_it_is(settings: Settings) -> None:
    assert place_of(Dimse("PACS", "pacs.invalid", 104), settings) == "pacs.invalid"


def test_name_that_nobody_knows_is_no_reason_to_refuse_it_for_ever(settings: Settings) -> None:
    with pytest.raises(Undelivered, match="not known"):
        place_of(Dimse("PACS", "pacs.invalid", 104, is_bounded=True), within(settings, "10.1.2.3"))


@pytest.mark.usefixtures("scanners")
def test_no_byte_reaches_an_archive_outside(settings: Settings, tmp_path: Path) -> None:
    service = Service(200, [])
    with service.running() as url, storescp(tmp_path / "archive") as archive:
        ours: list[Address] = [
            Dimse("ANY-SCP", "localhost", archive.address.port, is_bounded=True),
            Stow(url.replace("127.0.0.1", "localhost"), "", True),
        ]
        for to in ours:
            courier.echo(to, within(settings, "127.0.0.0/8, ::1"))
            with pytest.raises(NotPermitted):
                courier.echo(to, within(settings, "10.0.0.0/8"))

    assert len(service.requests) == 1


@pytest.mark.usefixtures("scanners")
def test_who_names_nothing_there_is_told_nothing_of_what_is_there(settings: Settings) -> None:
    nothing = Dimse("PACS", "127.0.0.1", free_port(), is_bounded=True)

    with pytest.raises(NotPermitted):
        courier.echo(nothing, within(settings, "10.0.0.0/8"))


def test_service_by_tls_is_known_by_its_name(
    settings: Settings, certificate: tuple[str, str]
) -> None:
    trusting = settings.model_copy(update={"dimse_authorities": certificate[0]})
    service = Service(200, [])

    with service.running(certificate) as url:
        to = Stow(url.replace("127.0.0.1", "localhost"), "", True)
        courier.echo(to, within(trusting, "127.0.0.0/8, ::1"))
        # The certificate is of localhost, and of nobody else who lies at that address.
        with pytest.raises(Undelivered):
            courier.echo(Stow(url, "", True), within(trusting, "127.0.0.0/8"))

    assert len(service.requests) == 1
