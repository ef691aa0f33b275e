"""The page of retention: what is kept for how long, what goes, and the proof."""

import re
from importlib import import_module
from uuid import UUID

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from db import removal
from db.session import Sessions
from db.tables import AuditRow, PurgeRow, StudyRow, TenantRow
from hilum.storage import StudyStore
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import queue_job
from tests.db.test_removal import UID, all_files, analyse, grow_old, keep
from worker.upkeep import purge_asked

RETENTION = "/admin/retention"


@pytest.fixture
def old(sessions: Sessions, store: StudyStore, tenant: TenantRow) -> UUID:
    """A study with a job that ended, received 100 days ago."""
    study_id = keep(sessions, store, tenant.id)
    analyse(sessions, store, tenant.id, study_id)
    grow_old(sessions, 100)
    return study_id


def wish(of: TenantRow, **more: str) -> dict[str, str]:
    return {"tenant": str(of.id), "before": "", "study": UID} | more


def studies(sessions: Sessions) -> int:
    with sessions.begin() as session:
        return len(session.scalars(select(StudyRow.id)).all())


def days(sessions: Sessions, tenant: TenantRow) -> int | None:
    with sessions.begin() as session:
        return session.get_one(TenantRow, tenant.id).keep_days


def purge_ids(visitor: Visitor) -> list[str]:
    return re.findall(r"/purges/([0-9a-f-]{36})/prove", visitor.get(RETENTION).text)


# ── How long ──────────────────────────────────────────────────────────────────────────────────


def test_hospital_keeps_for_as_long_as_it_says(
    chief: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    form = {"tenant": str(tenant.id), "days": "30"}

    assert chief.post(f"{RETENTION}/keep", form).status_code == 303

    assert days(sessions, tenant) == 30
    assert "30 days" in words(chief.get(RETENTION))
    with sessions.begin() as session:
        query = select(AuditRow).where(AuditRow.action == "retention.changed")
        entry = session.scalars(query).one()
    assert (entry.by, entry.detail) == ("user clara.chief", {"before": None, "after": 30})
    chief.post(f"{RETENTION}/keep", form | {"days": ""})
    assert days(sessions, tenant) is None


@pytest.mark.usefixtures("old")
def test_what_would_go_at_once_is_shown_first(
    chief: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    form = {"tenant": str(tenant.id), "days": "30"}

    asked = chief.post(f"{RETENTION}/keep", form)

    assert "These studies go for good 1 studies 1 jobs 3 files" in words(asked)
    assert days(sessions, tenant) is None
    assert chief.post(f"{RETENTION}/keep", form | {"confirm": tenant.name}).status_code == 303
    assert days(sessions, tenant) == 30


@pytest.mark.parametrize("value", ["0", "-1", "36501", "x", "1e3", "9" * 20, "٣", "3\n4"])
def test_number_of_days_that_is_none_is_explained(
    chief: Visitor, sessions: Sessions, tenant: TenantRow, value: str
) -> None:
    form = {"tenant": str(tenant.id), "days": value}

    assert chief.post(f"{RETENTION}/keep", form).status_code == 422
    assert days(sessions, tenant) is None


# ── Going ─────────────────────────────────────────────────────────────────────────────────────


def test_study_goes_once_the_name_of_its_hospital_is_typed(
    chief: Visitor, sessions: Sessions, store: StudyStore, tenant: TenantRow, old: UUID
) -> None:
    asked = chief.post(f"{RETENTION}/purge", wish(tenant))
    assert "Type the name of the hospital" in words(asked)
    assert studies(sessions) == 1

    wrong = chief.post(f"{RETENTION}/purge", wish(tenant, confirm="another"))
    assert "This is not the name of the hospital." in words(wrong)
    assert studies(sessions) == 1

    done = chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))

    assert "Nothing of it is left Looked for 1 studies and 1 jobs of st-vincent" in words(done)
    assert (studies(sessions), all_files(store)) == (0, [])
    with sessions.begin() as session:
        query = select(AuditRow).where(AuditRow.action == "retention.purged")
        entry = session.scalars(query).one()
    assert (entry.by, entry.address) == ("user clara.chief", "127.0.0.1")
    assert entry.detail["studies"] == [str(old)]
    assert UID not in chief.get(RETENTION).text


@pytest.mark.usefixtures("old")
def test_form_that_is_sent_twice_purges_once(chief: Visitor, tenant: TenantRow) -> None:
    for _ in range(2):
        answer = chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))

    assert "No study is to go" in words(answer)
    assert len(purge_ids(chief)) == 1


def test_study_that_is_worked_on_stands_back(
    chief: Visitor, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        queue_job(session, tenant.id, study_id=study_id)

    page = words(chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name)))

    assert "Stand back 1: their jobs wait or run" in page
    assert studies(sessions) == 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have purges end after a step of two studies, as if it had taken long."""
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    # The package calls its blueprint by the same name.
    monkeypatch.setattr(import_module("api.dashboard.admin.retention"), "LONGEST_S", 0.0)


def polled(page: TestResponse) -> str:
    """The address that a page asks every few seconds."""
    found = re.findall(r'hx-get="(/admin/retention/purges/[^"]+)"', page.text)
    assert len(found) == 1
    address: str = found[0]
    return address


@pytest.mark.usefixtures("slow")
def test_purge_that_takes_long_shows_how_far_it_is_and_at_its_end_the_proof(
    chief: Visitor, outsider: Visitor, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    for _ in range(5):
        keep(sessions, store, tenant.id)

    begun = chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))
    # The page was closed, and is opened again.
    address = polled(chief.get(RETENTION))
    shown = chief.get(address)
    purge_asked(sessions, store)
    ended = chief.get(address)

    assert "2 of 5 have gone" in words(begun)
    assert '<progress max="5" value="2"' in shown.text
    assert address in shown.text
    assert "Nothing of it is left Looked for 5 studies" in words(ended)
    assert "hx-get" not in ended.text
    assert (studies(sessions), all_files(store)) == (0, [])
    assert "hx-get" not in chief.get(RETENTION).text.partition("<main")[2]
    assert outsider.get(address).status_code == 404
    with sessions.begin() as session:
        row = session.scalars(select(PurgeRow)).one()
        entries = session.scalars(select(AuditRow).where(AuditRow.action == "retention.purged"))
        done = [(one.by, one.address, one.subject) for one in entries]
    assert (row.studies, row.wanted, row.study_uid, row.address) == (5, None, None, None)
    # Whoever carries it on, it is theirs who asked.
    assert set(done) == {("user clara.chief", "127.0.0.1", str(row.id))}


@pytest.mark.usefixtures("slow")
def test_form_that_is_sent_again_joins_the_purge_that_goes_on(
    chief: Visitor, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    for _ in range(3):
        keep(sessions, store, tenant.id)

    first, second = (
        polled(chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name)))
        for _ in range(2)
    )
    purge_asked(sessions, store)

    assert first == second
    assert "Nothing of it is left Looked for 3 studies" in words(chief.get(first))
    assert len(purge_ids(chief)) == 1


@pytest.mark.usefixtures("slow")
def test_study_that_is_worked_on_meanwhile_holds_up_no_purge(
    chief: Visitor, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    ids = [keep(sessions, store, tenant.id) for _ in range(3)]
    address = polled(chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name)))
    with sessions.begin() as session:
        queue_job(session, tenant.id, study_id=ids[2])

    purge_asked(sessions, store)

    assert "Nothing of it is left Looked for 2 studies" in words(chief.get(address))
    assert studies(sessions) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"study": ""},
        {"study": "'; DROP TABLE studies"},
        {"study": "1" * 65},
        {"before": "yesterday"},
        {"before": "2026-13-01"},
        {"confirm": "x" * 300},
        {"tenant": "7"},
        {"tenant": ""},
    ],
)
@pytest.mark.usefixtures("old")
def test_wish_that_makes_no_sense_is_explained(
    chief: Visitor, sessions: Sessions, tenant: TenantRow, fields: dict[str, str]
) -> None:
    answer = chief.post(f"{RETENTION}/purge", wish(tenant, **fields))

    assert answer.status_code == 422
    assert studies(sessions) == 1


# ── Proving ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("old")
def test_purge_is_proved_again_another_day(
    chief: Visitor, admin: Visitor, tenant: TenantRow
) -> None:
    chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))
    (purge_id,) = purge_ids(chief)

    page = admin.post(f"{RETENTION}/purges/{purge_id}/prove")

    assert "Nothing of it is left" in words(page)


@pytest.mark.usefixtures("old")
def test_proof_says_what_is_left(
    chief: Visitor, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(StudyStore, "delete", refuse)

    page = words(chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name)))

    assert "Something of it is left" in page
    assert "2 folders in the store, 2 of them noted" in page


# ── Who ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("old")
def test_hospital_of_others_is_out_of_reach(
    chief: Visitor, outsider: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    confirmed = wish(tenant, confirm=tenant.name)
    assert outsider.post(f"{RETENTION}/purge", confirmed).status_code == 404
    keeping = {"tenant": str(tenant.id), "days": "1", "confirm": tenant.name}
    assert outsider.post(f"{RETENTION}/keep", keeping).status_code == 404
    assert (studies(sessions), days(sessions, tenant)) == (1, None)

    chief.post(f"{RETENTION}/purge", confirmed)
    (purge_id,) = purge_ids(chief)

    assert outsider.post(f"{RETENTION}/purges/{purge_id}/prove").status_code == 404
    assert tenant.name not in words(outsider.get(RETENTION))


@pytest.mark.usefixtures("old")
def test_retention_is_for_who_administers(
    reader: Visitor, operator: Visitor, nobody: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    for visitor in (reader, operator):
        assert visitor.get(RETENTION).status_code == 403
        confirmed = wish(tenant, confirm=tenant.name)
        assert visitor.post(f"{RETENTION}/purge", confirmed).status_code == 403
    assert nobody.get(RETENTION).status_code == 303
    assert studies(sessions) == 1


@pytest.mark.usefixtures("old")
def test_form_of_another_sign_in_and_a_key_purge_nothing(
    chief: Visitor, key: str, sessions: Sessions, tenant: TenantRow, nobody: Visitor
) -> None:
    confirmed = wish(tenant, confirm=tenant.name)

    foreign = chief.post(f"{RETENTION}/purge", confirmed, token="0" * 64)
    by_key = nobody.client.post(
        f"{RETENTION}/purge", data=confirmed, headers={"Authorization": f"Bearer {key}"}
    )

    assert (foreign.status_code, by_key.status_code) == (403, 401)
    with sessions.begin() as session:
        assert session.scalars(select(PurgeRow)).all() == []
