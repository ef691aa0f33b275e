"""The page of retention: what is kept for how long, what goes, and the proof."""

import re
from importlib import import_module
from uuid import UUID

import pytest
from sqlalchemy import select

from db import removal
from db.session import Sessions
from db.tables import AuditRow, PurgeRow, StudyRow, TenantRow
from hilum.storage import StudyStore
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import queue_job
from tests.db.test_removal import UID, all_files, analyse, grow_old, keep

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


def test_purge_that_takes_long_says_how_much_is_left(
    chief: Visitor,
    sessions: Sessions,
    store: StudyStore,
    tenant: TenantRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    # The package calls its blueprint by the same name.
    monkeypatch.setattr(import_module("api.dashboard.admin.retention"), "LONGEST_S", 0.0)
    for _ in range(3):
        keep(sessions, store, tenant.id)

    first = chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))
    second = chief.post(f"{RETENTION}/purge", wish(tenant, confirm=tenant.name))

    assert "These studies go for good 1 studies" in words(first)
    assert "Nothing of it is left" in words(second)
    assert studies(sessions) == 0


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
