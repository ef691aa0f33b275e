"""The list of cases: what each filter finds, who finds whom by name, and what is kept in step."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from db.batches import add_batch
from db.cases import (
    MOST_COUNTED,
    CaseFilter,
    Sight,
    count_cases,
    list_cases,
    search,
)
from db.changes import cancel_job, prioritise_job, retry_job
from db.choices import hospitals, networks, scanners
from db.claims import fail_job
from db.exported import iterate_exported
from db.pages import LARGEST_PAGE, Page
from db.regrades import regrade_report
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import BatchJobRow, CaseRow, JobRow, StudyRow, TenantRow
from db.tenants import add_tenant
from hilum.errors import InvalidRequest
from hilum.grading import MOSMED, Grade, Verdict
from hilum.jobs import Priority, State
from tests.db.factories import claim, finished_job, queue_job, study_of

NOBODY = Scope.of()
SEES_ALL = Sight(EVERYTHING, EVERYTHING)
SEES_NO_NAMES = Sight(EVERYTHING, NOBODY)


def found(
    session: Session, sight: Sight = SEES_ALL, sort: str = "received", **chosen: Any
) -> list[UUID]:
    wanted = search(session, sight, CaseFilter(**chosen))
    listing = list_cases(session, wanted, Page(sort=sort))
    assert count_cases(session, wanted) == len(listing.rows)
    return [case.job.id for case in listing.rows]


def in_step(session: Session) -> bool:
    """Whether every case is kept as it follows from the tables it is about."""
    session.flush()
    differ = "(SELECT * FROM cases EXCEPT ALL SELECT * FROM cases_now)"
    lack = "(SELECT * FROM cases_now EXCEPT ALL SELECT * FROM cases)"
    return not session.execute(text(f"{differ} UNION ALL {lack}")).all()


@pytest.fixture
def ward(sessions: Sessions, tenant: TenantRow) -> dict[str, UUID]:
    """Jobs of one hospital, each unlike the others."""
    with sessions.begin() as session:
        smith = study_of(session, tenant.id)
        jones = study_of(
            session,
            tenant.id,
            name="Jönes-O'Neil^Anna=山",
            number="99",
            accession="B2",
            maker="GE",
            model="Revolution",
            uid="1.3.12.2",
            dated="20260301",
        )
        mild = finished_job(session, tenant.id, 0.1, study_id=smith.id, network="resnet50@3.0.0")
        grave = finished_job(session, tenant.id, 0.8, study_id=jones.id, network="resnet101@3.0.0")
        waits = queue_job(session, tenant.id, priority=Priority.STAT)
        failed = queue_job(session, tenant.id)
        fail_job(session, claim(session, failed), "not_axial", "It is sagittal.")
    return {"mild": mild.id, "grave": grave.id, "waits": waits.id, "failed": failed.id}


FILTERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, {"mild", "grave", "waits", "failed"}),
    "state": ({"state": State.QUEUED}, {"waits"}),
    "priority": ({"priority": Priority.STAT}, {"waits"}),
    "pipeline": ({"pipeline": "ct-lesions"}, {"mild", "grave", "waits", "failed"}),
    "another pipeline": ({"pipeline": "other"}, set()),
    "network": ({"network": "resnet101"}, {"grave"}),
    "its version": ({"network": "resnet50@3.0.0"}, {"mild"}),
    "verdict": ({"verdict": Verdict.ALARMING}, {"grave"}),
    "grade": ({"grade": Grade.CT_1}, {"mild"}),
    "no review": ({"review": False}, {"mild", "grave"}),
    "review": ({"review": True}, set()),
    "share from": ({"share_from": 0.5}, {"grave"}),
    "share to": ({"share_to": 0.5}, {"mild"}),
    "scanner": ({"scanner": "GE Revolution"}, {"grave"}),
    "dated from": ({"dated_from": date(2026, 2, 1)}, {"grave"}),
    "dated to": ({"dated_to": date(2026, 3, 1), "dated_from": date(2026, 3, 1)}, {"grave"}),
    "tenant": ({"tenant": "st-vincent"}, {"mild", "grave", "waits", "failed"}),
    "no such tenant": ({"tenant": "nowhere"}, set()),
    "since tomorrow": ({"since": datetime.now(UTC) + timedelta(days=1)}, set()),
    "until tomorrow": (
        {"until": datetime.now(UTC) + timedelta(days=1)},
        {"mild", "grave", "waits", "failed"},
    ),
    "error": ({"error": "not_axial"}, {"failed"}),
    "how an error begins": ({"error": "not"}, set()),
    "no error": ({"error": ""}, set()),
    "finished since": (
        {"finished_since": datetime(2020, 1, 1, tzinfo=UTC)},
        {"mild", "grave", "failed"},
    ),
    "finished until": ({"finished_until": datetime(1970, 1, 1, tzinfo=UTC)}, set()),
    "finished until tomorrow": (
        {"finished_until": datetime.now(UTC) + timedelta(days=1)},
        {"mild", "grave", "failed"},
    ),
    "two at once": ({"verdict": Verdict.ALARMING, "scanner": "SIEMENS SOMATOM Force"}, set()),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filter_finds_what_meets_it(name: str, sessions: Sessions, ward: dict[str, UUID]) -> None:
    chosen, expected = FILTERS[name]

    with sessions.begin() as session:
        assert set(found(session, **chosen)) == {ward[each] for each in expected}


TEXTS = {
    "smith": {"mild"},
    "SMI": {"mild"},
    "john smith": {"mild"},
    "mith": set(),
    "jönes": {"grave"},
    "JÖNES": {"grave"},
    "o'ne": {"grave"},
    "neil": set(),
    "jönes-o'neil": {"grave"},
    "山田": {"mild", "grave"},
    "pat-4711": {"mild"},
    "4711": {"mild"},
    "acc/2026": {"mild"},
    "acc 17": {"mild"},
    "1.3.12": {"grave"},
    "not_axial": {"failed"},
    "not": {"failed"},
    "resnet101": {"grave"},
    "st-vin": {"mild", "grave", "waits", "failed"},
    "st-vincent smith": {"mild"},
    "smith jönes": set(),
    "night": {"waits"},
    "%": set(),
    "_": set(),
    "' | 'smith": set(),
    "\\": set(),
    "smith:*": set(),
    "---": set(),
}


@pytest.mark.parametrize("typed", TEXTS)
def test_text_finds_what_answers_each_of_its_words(
    typed: str, sessions: Sessions, tenant: TenantRow, ward: dict[str, UUID]
) -> None:
    with sessions.begin() as session:
        batch = add_batch(session, tenant.id, label="Night of March", is_open=True)
        assert batch is not None
        session.add(BatchJobRow(batch_id=batch.id, job_id=ward["waits"]))

    with sessions.begin() as session:
        assert set(found(session, text=typed)) == {ward[each] for each in TEXTS[typed]}


@pytest.mark.parametrize("cut", [36, 13, 8, 6])
def test_job_is_found_by_how_its_id_begins(
    cut: int, sessions: Sessions, ward: dict[str, UUID]
) -> None:
    with sessions.begin() as session:
        assert ward["mild"] in found(session, text=str(ward["mild"])[:cut].upper())


@pytest.mark.parametrize(
    "typed", ["smith", "jönes", "4711", "山田", "pat-4711", "acc/2026-17", "b2"]
)
@pytest.mark.usefixtures("ward")
def test_who_may_not_know_patients_finds_nobody_by_them(typed: str, sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert found(session, SEES_NO_NAMES, text=typed) == []


def test_patients_are_found_where_they_are_known_alone(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        here = queue_job(session, tenant.id, study_id=study_of(session, tenant.id).id)
        there = queue_job(session, other.id, study_id=study_of(session, other.id).id)

    with sessions.begin() as session:
        sight = Sight(EVERYTHING, Scope.of(tenant.id))
        assert found(session, sight, text="smith") == [here.id]
        assert found(session, sight, text="acc/2026") == [here.id]
        assert set(found(session, sight, text="1.2")) == {here.id, there.id}
        assert [
            case.is_known
            for case in list_cases(
                session, search(session, sight, CaseFilter()), Page(sort="-received")
            ).rows
        ] == [
            False,
            True,
        ]


def test_what_many_share_is_found_like_what_is_rare(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.words.FEW", 1)
    with sessions.begin() as session:
        jobs = {
            queue_job(session, tenant.id, study_id=study_of(session, tenant.id).id).id
            for _ in range(3)
        }
        batch = add_batch(session, tenant.id, label="Night", is_open=True)
        assert batch is not None
        session.add_all(BatchJobRow(batch_id=batch.id, job_id=job_id) for job_id in jobs)

    with sessions.begin() as session:
        for typed in ("smith", "night", "smith night", "st-vincent"):
            assert set(found(session, text=typed)) == jobs


@pytest.mark.usefixtures("ward")
def test_cases_of_other_hospitals_are_not_there(sessions: Sessions) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        for scope in (Scope.of(other.id), NOBODY):
            for typed in (None, "smith", "st-vincent", "not_axial"):
                assert found(session, Sight(scope, scope), text=typed) == []
            assert networks(session, scope) == scanners(session, scope) == []


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("received", ["mild", "grave", "waits", "failed"]),
        ("-received", ["failed", "waits", "grave", "mild"]),
        ("-lesion_share", ["grave", "mild"]),
        ("-finished", ["failed", "grave", "mild", "waits"]),
        ("-study_date", ["grave"]),
    ],
)
def test_lists_are_sorted_as_asked_and_paged_without_a_gap(
    sort: str, order: list[str], sessions: Sessions, ward: dict[str, UUID]
) -> None:
    with sessions.begin() as session:
        # All of one transaction are of one moment.
        for minutes, name in enumerate(("mild", "grave", "failed")):
            at = datetime(2026, 5, 1, 12, minutes, tzinfo=UTC)
            session.execute(update(JobRow).where(JobRow.id == ward[name]).values(finished_at=at))
    seen, cursor = [], None
    while True:
        with sessions.begin() as session:
            page = Page(cursor, 1, sort)
            listing = list_cases(session, search(session, SEES_ALL, CaseFilter()), page)
        seen += [case.job.id for case in listing.rows]
        cursor = listing.next_cursor
        if cursor is None:
            break

    assert seen[: len(order)] == [ward[name] for name in order]
    assert sorted(seen) == sorted(ward.values())


@pytest.mark.parametrize("page", [Page(limit=0), Page(sort="name"), Page("x", sort="received")])
def test_malformed_page_is_refused(page: Page, sessions: Sessions) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest):
        list_cases(session, search(session, SEES_ALL, CaseFilter()), page)


def test_choices_are_those_that_there_are(sessions: Sessions, ward: dict[str, UUID]) -> None:
    assert ward
    with sessions.begin() as session:
        add_tenant(session, "elsewhere")
        assert hospitals(session, EVERYTHING) == ["elsewhere", "st-vincent"]
        assert networks(session, EVERYTHING) == ["resnet101@3.0.0", "resnet50", "resnet50@3.0.0"]
        assert scanners(session, EVERYTHING) == ["GE Revolution", "SIEMENS SOMATOM Force"]


def test_whole_list_is_read_page_after_page(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.pages.LARGEST_PAGE", 2)
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id).id for _ in range(5)]

    with sessions.begin() as session:
        everything = search(session, SEES_ALL, CaseFilter())
    read = [case.job_id for case in iterate_exported(sessions, everything, "received")]

    assert read == jobs
    assert LARGEST_PAGE < MOST_COUNTED


def test_count_ends_where_it_would_take_too_long(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.cases.MOST_COUNTED", 2)
    with sessions.begin() as session:
        for _ in range(5):
            queue_job(session, tenant.id)

        assert count_cases(session, search(session, SEES_ALL, CaseFilter())) == 3


Change = Callable[[Session, dict[str, UUID], UUID], object]

CHANGES: dict[str, Change] = {
    "a claim": lambda s, w, _: claim(s, s.get_one(JobRow, w["waits"])),
    "a cancellation": lambda s, w, t: cancel_job(s, t, w["waits"]),
    "another priority": lambda s, w, t: prioritise_job(s, t, w["waits"], Priority.BULK),
    "a retry": lambda s, w, t: retry_job(s, t, w["failed"]),
    "another grading": lambda s, w, t: regrade_report(
        s, t, w["mild"], replace(MOSMED, version="strict", bins=(0.01, 0.02, 0.05)), by="nobody"
    ),
    "a new report": lambda s, _, t: finished_job(s, t, 0.3),
    "a study that lost its patient": lambda s, *_: s.execute(
        update(StudyRow).values(attributes=None, patient_id=None)
    ),
    "a purge": lambda s, w, _: (
        s.execute(text("DELETE FROM job_events WHERE job_id = :id"), {"id": w["waits"]}),
        s.execute(delete(JobRow).where(JobRow.id == w["waits"])),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_case_is_kept_in_step_with_what_happens(
    name: str, sessions: Sessions, tenant: TenantRow, ward: dict[str, UUID]
) -> None:
    with sessions.begin() as session:
        before = set(session.execute(text("SELECT cases::text FROM cases")).scalars())
        CHANGES[name](session, ward, tenant.id)

        assert in_step(session)
        assert set(session.execute(text("SELECT cases::text FROM cases")).scalars()) != before


def test_lost_patient_is_found_no_more(sessions: Sessions, ward: dict[str, UUID]) -> None:
    assert ward
    with sessions.begin() as session:
        session.execute(update(StudyRow).values(attributes=None, patient_id=None))

        assert found(session, text="smith") == []


@pytest.mark.parametrize("value", ["x" * 5000, "a " * 3000, "\t", "É" * 4000])
def test_study_is_kept_however_long_its_values_are(
    value: str, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = study_of(session, tenant.id, name=value, model=value, uid=uuid4().int.__str__())
        queue_job(session, tenant.id, study_id=study.id)

        assert in_step(session)
        assert len(session.query(CaseRow).one().scanner or "") <= 128
