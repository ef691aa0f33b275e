"""Destinations by page: archives of one's own hospital, whose secrets are never shown."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from api.parts import EXTENSION, Parts
from db.destinations import add_destination
from db.session import Sessions
from db.tables import AuditRow, DeliveryRow, DestinationRow, TenantRow
from hilum.destinations import DeliveryState, Stow, parse_entity
from hilum.settings import Settings
from tests.api.dashboard.visitor import Visitor, words
from tests.api.push.archives import Service, free_port
from tests.db.factories import finished_job

PAGE = "/admin/destinations"
SECRET = "Bearer geheim-4711"


def form(tenant: TenantRow, **changes: Any) -> dict[str, Any]:
    return {
        "name": "pacs",
        "tenant": str(tenant.id),
        "address": "PACS@10.0.0.7:104",
        "contents": ["segmentation", "document"],
    } | changes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of an installation whose hospitals name archives of their own networks."""
    networks = "10.0.0.0/8, 127.0.0.0/8, ::1"
    return settings.model_copy(update={"destination_networks": networks})


@pytest.fixture
def service(sessions: Sessions, tenant: TenantRow) -> str:
    """The page of an archive of the hospital `tenant` that takes STOW-RS by a secret."""
    with sessions.begin() as session:
        to = Stow("https://pacs.example/dicom-web", SECRET)
        return f"{PAGE}/{add_destination(session, tenant.name, 'cloud', to).id}"


@pytest.fixture
def foreign(sessions: Sessions, elsewhere: TenantRow) -> str:
    """The page of another hospital's."""
    with sessions.begin() as session:
        to = parse_entity("THEIRS@10.9.9.9:104")
        return f"{PAGE}/{add_destination(session, elsewhere.name, 'theirs', to).id}"


def kept(sessions: Sessions) -> list[DestinationRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(DestinationRow)))


def test_archive_is_added_once_and_gets_the_next_results(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    added, again = (chief.post(PAGE, form(tenant, tls="on")) for _ in range(2))
    with sessions.begin() as session:
        finished_job(session, tenant.id)

    assert (added.status_code, again.status_code) == (303, 422)
    assert "There is a destination 'pacs' already" in words(again)
    [row] = kept(sessions)
    assert row.address["tls"] is True
    assert row.contents == ["segmentation", "document"]
    assert "PACS@10.0.0.7:104 by TLS segmentation, document 1 0" in words(chief.get(PAGE))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "<script>"},
        {"name": "x" * 65},
        {"address": ""},
        {"address": "PACS"},
        {"address": "PACS@host:99999"},
        {"address": "https://user:password@pacs.example"},
        {"address": "https://pacs.example\x00"},
        {"address": "https://" + "x" * 3000},
        {"address": "https://pacs.example", "authorization": "a\nb"},
        {"calling": "a\\b"},
        {"calling": "x" * 17},
        {"contents": []},
        {"contents": ["everything"]},
        {"deidentify": "on"},
        {"tenant": ""},
    ],
)
def test_archive_that_makes_no_sense_is_refused(
    chief: Visitor, tenant: TenantRow, sessions: Sessions, changes: dict[str, Any]
) -> None:
    answer = chief.post(PAGE, form(tenant) | changes)

    assert answer.status_code == 422
    assert "<script>" not in answer.text.partition("<main")[2]
    assert kept(sessions) == []


def test_secret_is_never_shown_and_stays_while_the_address_does(
    chief: Visitor, service: str, sessions: Sessions
) -> None:
    same = {"address": "https://pacs.example/dicom-web/", "contents": ["document"]}
    chief.post(service, same)
    [row] = kept(sessions)
    pages = chief.get(PAGE).text + chief.get(service).text

    assert row.address["authorization"] == SECRET
    assert row.contents == ["document"]
    assert "geheim" not in pages


def test_new_address_is_not_told_the_secret_of_the_old(
    chief: Visitor, service: str, sessions: Sessions
) -> None:
    chief.post(service, {"address": "https://evil.example", "contents": ["document"]})

    [row] = kept(sessions)
    assert row.address == {
        "url": "https://evil.example",
        "authorization": "",
        "is_bounded": True,
    }


def test_form_of_an_archive_keeps_what_it_shows(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = chief.post(PAGE, form(tenant, address="PACS@[::1]:104")).headers["Location"]

    assert 'value="PACS@[::1]:104"' in chief.get(page).text
    chief.post(page, form(tenant, address="PACS@[::1]:104", calling="OTHER"))

    [row] = kept(sessions)
    assert (row.address["host"], row.address["calling"]) == ("::1", "OTHER")


@pytest.mark.parametrize(
    "address",
    [
        "PACS@192.168.0.7:104",
        "PACS@169.254.169.254:80",
        "PACS@[fd00::1]:104",
        "https://192.168.0.7/dicom-web",
        "http://169.254.169.254/latest",
        "http://[64:ff9b::a9fe:a9fe]/",
    ],
)
def test_archive_outside_of_the_networks_is_for_those_who_administer_everything(
    chief: Visitor, admin: Visitor, tenant: TenantRow, sessions: Sessions, address: str
) -> None:
    page = chief.post(PAGE, form(tenant, name="inside")).headers["Location"]

    refused = [chief.post(PAGE, form(tenant, address=address))]
    refused.append(chief.post(page, form(tenant, address=address)))
    added = admin.post(PAGE, form(tenant, address=address))

    assert {answer.status_code for answer in refused} == {403}
    for answer in refused:
        assert "Ask somebody who administers all hospitals to name it" in words(answer)
    assert added.status_code == 303
    assert len(kept(sessions)) == 2


def test_name_is_looked_up_again_when_it_is_called(
    chief: Visitor, tenant: TenantRow, app: APIFlask
) -> None:
    archive = Service(200, [])
    parts: Parts = app.extensions[EXTENSION]

    with archive.running() as url:
        named = url.replace("127.0.0.1", "localhost")
        page = chief.post(PAGE, form(tenant, address=named)).headers["Location"]
        reached = chief.post(f"{page}/echo")
        # As if the name had moved: what it leads to is of no network any more.
        settings = parts.settings.model_copy(update={"destination_networks": "10.0.0.0/8"})
        app.extensions[EXTENSION] = replace(parts, settings=settings)
        refused = chief.post(f"{page}/echo")

    assert "It answers." in words(reached)
    assert "lies outside of the networks" in words(refused)
    [(_, _, headers, _)] = archive.requests
    assert headers["host"] == named.split("/")[2]


def test_without_networks_addresses_are_for_those_who_administer_everything(
    chief: Visitor, admin: Visitor, tenant: TenantRow, app: APIFlask, sessions: Sessions
) -> None:
    parts: Parts = app.extensions[EXTENSION]
    settings = parts.settings.model_copy(update={"destination_networks": ""})
    app.extensions[EXTENSION] = replace(parts, settings=settings)

    added = [who.post(PAGE, form(tenant)) for who in (chief, admin)]
    page = added[1].headers["Location"]
    moved = chief.post(page, form(tenant, address="PACS@10.0.0.8:104"))
    called = chief.post(page, form(tenant, calling="OTHER"))
    lists = [words(who.get(PAGE)) for who in (chief, admin)]
    narrowed = chief.post(page, form(tenant, contents=["document"]))

    assert [one.status_code for one in (*added, moved, called)] == [403, 303, 403, 403]
    assert ["Ask somebody who administers all" in text for text in lists] == [True, False]
    # What stands there is seen, and what it gets is theirs to say.
    assert narrowed.status_code == 303
    [row] = kept(sessions)
    assert (row.address["host"], row.contents) == ("10.0.0.7", ["document"])
    assert row.address["is_bounded"] is False
    assert chief.post(f"{page}/remove").status_code == 303


def test_archive_stays_bounded_whoever_keeps_it(
    chief: Visitor, admin: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = chief.post(PAGE, form(tenant)).headers["Location"]

    admin.post(page, form(tenant, contents=["document"]))

    [row] = kept(sessions)
    assert (row.contents, row.address["is_bounded"]) == (["document"], True)


@pytest.mark.usefixtures("scanners")
def test_archive_that_is_away_is_said_to_be(chief: Visitor, tenant: TenantRow) -> None:
    to = f"PACS@127.0.0.1:{free_port()}"
    page = chief.post(PAGE, form(tenant, address=to)).headers["Location"]

    answer = chief.post(f"{page}/echo")

    assert answer.status_code == 200
    assert 'class="alert"' in answer.text
    assert "It answers." not in words(answer)


def test_what_was_given_up_on_is_sent_again(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = chief.post(PAGE, form(tenant)).headers["Location"]
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        session.execute(update(DeliveryRow).values(state=DeliveryState.FAILED))
    failed = words(chief.get(page))

    for _ in range(2):
        assert chief.post(f"{page}/retry").headers["Location"] == page

    assert "On the way 0 Failed 1" in failed
    assert "On the way 1 Failed 0" in words(chief.get(page))


def test_archive_is_removed(chief: Visitor, service: str, sessions: Sessions) -> None:
    answers = [chief.post(f"{service}/remove").status_code for _ in range(2)]

    assert answers == [303, 404]
    assert kept(sessions) == []


@pytest.mark.parametrize("who", ["reader", "operator"])
def test_who_does_not_administer_finds_no_such_page(
    who: str, request: pytest.FixtureRequest, service: str, tenant: TenantRow
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    assert {visitor.get(page).status_code for page in (PAGE, service)} == {403}
    assert visitor.post(PAGE, form(tenant)).status_code == 403
    assert visitor.post(f"{service}/remove").status_code == 403


def test_archives_of_another_hospital_are_as_unknown_as_none(
    chief: Visitor, foreign: str, elsewhere: TenantRow, sessions: Sessions
) -> None:
    assert "THEIRS" not in chief.get(PAGE).text
    assert chief.post(PAGE, form(elsewhere)).status_code == 404
    for page in (foreign, f"{PAGE}/{uuid4()}"):
        assert chief.get(page).status_code == 404
        deeds = ("", "/echo", "/retry", "/remove")
        assert {chief.post(page + deed, form(elsewhere)).status_code for deed in deeds} == {404}
    assert len(kept(sessions)) == 1


def test_audit_log_has_what_was_done_and_no_secret(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    sent = form(tenant, address="https://pacs.example", authorization=SECRET)
    page = chief.post(PAGE, sent).headers["Location"]
    chief.post(f"{page}/remove")

    with sessions.begin() as session:
        entries = session.scalars(
            select(AuditRow).where(AuditRow.action == "destination.changed").order_by(AuditRow.id)
        ).all()
    assert [(one.subject, one.tenant_id, one.detail["change"]) for one in entries] == [
        ("pacs", tenant.id, "added"),
        ("pacs", tenant.id, "removed"),
    ]
    assert "geheim" not in str([one.detail for one in entries])
