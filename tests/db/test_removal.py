"""Studies that go for good: what goes, what stays, whatever happens meanwhile; and the proof."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, select, text

from db import removal
from db.audit import verify_log
from db.changes import retry_job
from db.claims import Artifact, fail_job, finish_job
from db.deliveries import take_due
from db.destinations import add_destination
from db.feed import Feed
from db.jobs import lock_job
from db.proof import Proof, prove
from db.purges import Chosen, Wish, find_purge, list_purges, preview
from db.removal import purge, references, take_step
from db.retention import keep_for, purge_overdue
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.studies import add_study, find_study, slice_counts
from db.tables import (
    AuditRow,
    BatchJobRow,
    BatchRow,
    JobEventRow,
    JobRow,
    PurgedRow,
    PurgeRow,
    ReportRow,
    Row,
    StudyRow,
    TenantRow,
    WritingRow,
    now,
)
from db.tenants import add_tenant
from db.webhooks import add_webhook
from db.writings import abandoned
from hilum.destinations import Stow
from hilum.errors import InvalidRequest, StorageUnavailable, UnknownPurge, UnknownStudy
from hilum.places import study_folder
from hilum.retention import Reason, kept_since
from hilum.storage import StudyStore
from tests.buckets import bucket_url, s3
from tests.db.factories import claim, have_worker, make_report, make_study, queue_job
from tests.db.test_plans import recorded

__all__ = ["bucket_url", "s3"]

UID = "1.2.840.77"
REMAINS = {"alembic_version", "audit", "purges", "purged", "tenants", "destinations", "webhooks"}
"""Tables that have rows after everything was purged."""


def keep(
    sessions: Sessions, store: StudyStore, tenant_id: UUID, *, uid: str = UID, content: str = ""
) -> UUID:
    """Keep a study of two files, as an upload does; return its id."""
    study, study_id = make_study(uid), uuid4()
    uids = [one.sop_instance_uid for one in study.series[0].instances]
    folder = study_folder(tenant_id, uid, study_id)
    files = {one: store.put(io.BytesIO(b"slice"), f"{folder}/1/{one}.dcm") for one in uids}
    with sessions.begin() as session:
        add_study(
            session,
            study_id=study_id,
            tenant_id=tenant_id,
            study=study,
            files=files,
            content_sha256=content or uuid4().hex * 2,
        )
    return study_id


def analyse(sessions: Sessions, store: StudyStore, tenant_id: UUID, study_id: UUID) -> UUID:
    """Have a job of a study succeed with one file; return its id."""
    with sessions.begin() as session:
        job = queue_job(session, tenant_id, study_id=study_id, idempotency_key=f"key-{study_id}")
        taken = claim(session, job)
    file = store.put(io.BytesIO(b"masks"), f"{taken.prefix}/masks.zip")
    with sessions.begin() as session:
        finish_job(session, taken, make_report(), [Artifact("masks", "application/zip", file)])
    return job.id


def all_files(store: StudyStore) -> list[str]:
    return sorted(store.filesystem.find(store.root))


def filled_tables(sessions: Sessions) -> set[str]:
    with sessions.begin() as session:
        tables = Row.metadata.tables.values()
        return {
            table.name
            for table in tables
            if session.scalar(select(func.count()).select_from(table))
        }


def count(sessions: Sessions, of: type[Row]) -> int:
    with sessions.begin() as session:
        return session.scalar(select(func.count()).select_from(of)) or 0


def grow_old(sessions: Sessions, days: int) -> None:
    with sessions.begin() as session:
        session.execute(
            text("UPDATE studies SET created_at = created_at - make_interval(days => :days)"),
            {"days": days},
        )


def of_uid(tenant: TenantRow, uid: str = UID) -> Wish:
    return Wish(Chosen(tenant.id, study_uid=uid), EVERYTHING, "user ada")


def proof_of(sessions: Sessions, store: StudyStore, purge_id: UUID | None) -> Proof:
    assert purge_id is not None
    with sessions.begin() as session:
        return prove(session, store, find_purge(session, EVERYTHING, purge_id))


@pytest.fixture
def other(sessions: Sessions) -> TenantRow:
    with sessions.begin() as session:
        return add_tenant(session, "elsewhere")


@pytest.fixture
def case(sessions: Sessions, store: StudyStore, tenant: TenantRow) -> UUID:
    """A study with everything that comes of one: report, files, batch, deliveries, notices."""
    study_id = keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        have_worker(session)
        add_destination(session, tenant.name, "archive", Stow("http://archive.example/"))
        add_webhook(session, tenant.id, "https://ward.example/told", [])
    job_id = analyse(sessions, store, tenant.id, study_id)
    with sessions.begin() as session:
        batch = BatchRow(tenant_id=tenant.id, label="Monday", closed_at=now())
        session.add(batch)
        session.flush()
        session.add(BatchJobRow(batch_id=batch.id, job_id=job_id))
    return study_id


# ── What goes, and what stays ─────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("case")
def test_everything_of_a_study_goes_and_is_proved_gone(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    assert {"findings", "deliveries", "notices", "batches", "series"} <= filled_tables(sessions)
    assert len(all_files(store)) == 3

    purge_id = purge(sessions, store, of_uid(tenant))

    assert filled_tables(sessions) - {"workers"} <= REMAINS
    assert all_files(store) == []
    found = proof_of(sessions, store, purge_id)
    assert (found.is_gone, found.studies, found.jobs, found.noted) == (True, 1, 1, 0)


@pytest.mark.usefixtures("case")
def test_folder_that_bears_the_uid_goes_too(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    purge(sessions, store, of_uid(tenant))

    assert [name for name in store.filesystem.find(store.root, withdirs=True) if UID in name] == []


def test_record_tells_how_much_went_and_names_nobody(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, case: UUID
) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE studies SET patient_id = 'P-4711', accession_number = 'A-1'"))

    purge_id = purge(sessions, store, of_uid(tenant))

    with sessions.begin() as session:
        row = session.get_one(PurgeRow, purge_id)
        entry = session.scalars(select(AuditRow)).one()
        assert (row.studies, row.jobs, row.files, row.bytes) == (1, 1, 3, 15)
        assert (row.by, row.reason, len(row.sha256)) == ("user ada", Reason.REQUEST, 64)
        assert (entry.action, entry.subject) == ("retention.purged", str(purge_id))
        assert entry.detail["studies"] == [str(case)]
        kept = [*session.scalars(select(PurgedRow)), row, entry]
        said = str([vars(one) for one in kept])
    assert not any(word in said for word in (UID, "P-4711", "A-1", "Monday"))


def test_nothing_of_another_hospital_is_touched(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, other: TenantRow
) -> None:
    ours = keep(sessions, store, tenant.id, content="c" * 64)
    theirs = keep(sessions, store, other.id, content="c" * 64)
    for owner, study_id in ((tenant, ours), (other, theirs)):
        analyse(sessions, store, owner.id, study_id)
    before = [name for name in all_files(store) if str(other.id) in name]

    purge_id = purge(sessions, store, of_uid(tenant))

    with sessions.begin() as session:
        assert session.scalars(select(StudyRow.id)).all() == [theirs]
        assert session.scalars(select(ReportRow.study_id)).all() == [theirs]
    assert all_files(store) == before
    assert proof_of(sessions, store, purge_id).is_gone


def test_neighbour_of_the_same_uid_is_untouched(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    first, second = (keep(sessions, store, tenant.id) for _ in range(2))

    wish = Wish(Chosen(tenant.id, study_id=first), EVERYTHING, "user ada")
    purge_id = purge(sessions, store, wish)

    assert [str(second) in name for name in all_files(store)] == [True, True]
    assert proof_of(sessions, store, purge_id).is_gone


@pytest.mark.usefixtures("case")
def test_purge_outside_the_scope_takes_nothing(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, other: TenantRow
) -> None:
    wish = replace(of_uid(tenant), scope=Scope.of(other.id))

    assert purge(sessions, store, wish) is None
    with sessions.begin() as session:
        assert preview(session, Scope.of(other.id), wish.chosen).studies == 0
    assert count(sessions, StudyRow) == 1


def test_nothing_chosen_is_not_everything(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    with pytest.raises(InvalidRequest, match="Nothing says which studies"):
        purge(sessions, store, Wish(Chosen(tenant.id), EVERYTHING, "user ada"))


def test_many_studies_go_in_short_steps_as_one_purge(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    for number in range(5):
        keep(sessions, store, tenant.id, uid=f"1.2.{number}")
    wish = Wish(Chosen(tenant.id, before=now() + timedelta(hours=1)), EVERYTHING, "user ada")

    purge_id = purge(sessions, store, wish)

    assert count(sessions, AuditRow) == 3
    assert count(sessions, PurgeRow) == 1
    found = proof_of(sessions, store, purge_id)
    assert (found.is_gone, found.studies) == (True, 5)


@pytest.mark.usefixtures("case")
def test_preview_says_what_goes_and_changes_nothing(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        going = preview(session, EVERYTHING, of_uid(tenant).chosen)
        newest = session.scalars(select(StudyRow.created_at)).one()

    purge_id = purge(sessions, store, of_uid(tenant))

    with sessions.begin() as session:
        row = session.get_one(PurgeRow, purge_id)
    assert (going.oldest, going.newest, going.under_way) == (newest, newest, 0)
    assert (going.studies, going.jobs, going.files, going.bytes) == (
        row.studies,
        row.jobs,
        row.files,
        row.bytes,
    )


def test_same_study_sent_again_after_a_purge_is_a_new_one(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    old = keep(sessions, store, tenant.id, content="d" * 64)
    old_job = analyse(sessions, store, tenant.id, old)
    purge_id = purge(sessions, store, of_uid(tenant))

    new = keep(sessions, store, tenant.id, content="d" * 64)
    with sessions.begin() as session:
        # The key of the job that went is free again.
        job = queue_job(session, tenant.id, study_id=new, idempotency_key=f"key-{old}")
        assert job.id != old_job

    assert new != old
    assert len(all_files(store)) == 2
    assert proof_of(sessions, store, purge_id).is_gone


def test_every_table_that_refers_to_a_report_goes_with_it() -> None:
    """A column that refers to what goes, in a table that does not, would stop every purge."""
    gone = {"studies", "jobs", "reports"}
    gone |= {table.name for of in (StudyRow, JobRow, ReportRow) for table, _ in references(of)}

    for table in Row.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table.name in gone and table.name not in gone:
                assert key.ondelete in {"CASCADE", "SET NULL"}, f"{table.name}.{key.parent.name}"


# ── What is under way ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_running", [False, True])
def test_study_whose_job_is_under_way_stands_back(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, *, is_running: bool
) -> None:
    study_id = keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, study_id=study_id)
        if is_running:
            claim(session, job)

    assert purge(sessions, store, of_uid(tenant)) is None

    with sessions.begin() as session:
        going = preview(session, EVERYTHING, of_uid(tenant).chosen)
    assert (going.studies, going.oldest, going.under_way) == (0, None, 1)
    assert len(all_files(store)) == 2


@pytest.mark.usefixtures("case")
def test_study_whose_results_are_being_sent_stands_back(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        assert take_due(session, lease_s=60) is not None

    assert purge(sessions, store, of_uid(tenant)) is None


def test_job_that_somebody_tries_again_at_this_moment_stands_back_and_nobody_waits(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, study_id=study_id)
        fail_job(session, claim(session, job), "not_axial", "No.")

    with sessions.begin() as session:
        lock_job(session, tenant.id, job.id)
        assert purge(sessions, store, of_uid(tenant)) is None
        retry_job(session, tenant.id, job.id)

    assert count(sessions, JobRow) == 1


def test_job_asked_for_while_its_study_goes_is_refused_by_name(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id)
    locked = Event()

    def ask() -> None:
        with sessions.begin() as session:
            locked.wait()
            slice_counts(session, tenant.id, [study_id])

    with ThreadPoolExecutor() as pool:
        with sessions.begin() as session:
            take_step(session, of_uid(tenant))
            asked = pool.submit(ask)
            locked.set()
        with pytest.raises(UnknownStudy):
            asked.result()


def test_study_that_is_sent_again_at_this_moment_stands_back(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id, content="e" * 64)

    with sessions.begin() as session:
        assert find_study(session, tenant.id, "e" * 64) is not None
        assert purge(sessions, store, of_uid(tenant)) is None
        queue_job(session, tenant.id, study_id=study_id)

    assert count(sessions, StudyRow) == 1


# ── Whatever happens ──────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.usefixtures("case")
def test_death_before_the_commit_leaves_everything(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    tables, files = filled_tables(sessions), all_files(store)
    monkeypatch.setattr(removal, "append", die)

    with pytest.raises(Killed):
        purge(sessions, store, of_uid(tenant))

    assert filled_tables(sessions) == tables
    assert all_files(store) == files


@pytest.mark.usefixtures("case")
@pytest.mark.parametrize("removed", [0, 1])
def test_death_among_the_files_leaves_them_to_the_upkeep(
    sessions: Sessions,
    store: StudyStore,
    tenant: TenantRow,
    monkeypatch: pytest.MonkeyPatch,
    removed: int,
) -> None:
    delete, calls = StudyStore.delete, []

    def die(self: StudyStore, prefix: str) -> None:
        if len(calls) == removed:
            raise Killed
        calls.append(prefix)
        delete(self, prefix)

    monkeypatch.setattr(StudyStore, "delete", die)
    with pytest.raises(Killed):
        purge(sessions, store, of_uid(tenant))
    monkeypatch.undo()

    with sessions.begin() as session:
        (row,) = list_purges(session, EVERYTHING)
    found = proof_of(sessions, store, row.id)
    assert (found.is_gone, found.rows, found.folders, found.noted) == (
        False,
        {},
        *[2 - removed] * 2,
    )
    with sessions.begin() as session:
        prefixes = abandoned(session, grace_s=-1)
    for prefix in prefixes:
        store.delete(prefix)
    assert proof_of(sessions, store, row.id).is_gone
    assert all_files(store) == []


@pytest.mark.usefixtures("case")
def test_store_that_is_away_keeps_its_files_for_the_upkeep(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(StudyStore, "delete", refuse)

    purge_id = purge(sessions, store, of_uid(tenant))

    assert proof_of(sessions, store, purge_id).noted == 2
    assert count(sessions, WritingRow) == 2


def test_two_purges_at_once_take_each_study_once(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 3)
    for number in range(12):
        study_id = keep(sessions, store, tenant.id, uid=f"1.2.{number}")
        analyse(sessions, store, tenant.id, study_id)
    wish = Wish(Chosen(tenant.id, before=now() + timedelta(hours=1)), EVERYTHING, "user ada")
    start = Barrier(3)

    def work(_: int) -> UUID | None:
        start.wait()
        return purge(sessions, store, wish)

    with ThreadPoolExecutor(3) as pool:
        ids = [one for one in pool.map(work, range(3)) if one]

    # What one had locked the others passed by; nothing went twice.
    with sessions.begin() as session:
        rows = list_purges(session, EVERYTHING)
        assert sum(row.studies for row in rows) == 12
        assert sum(row.files for row in rows) == 36
        assert verify_log(session).is_whole
    assert all(proof_of(sessions, store, one).is_gone for one in ids)
    assert all_files(store) == []


@pytest.mark.usefixtures("case")
def test_proof_finds_what_came_back(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    (kept,) = [name for name in all_files(store) if name.endswith("0.dcm")]
    purge_id = purge(sessions, store, of_uid(tenant))

    store.put(io.BytesIO(b"slice"), kept.removeprefix(f"{store.root}/"))

    found = proof_of(sessions, store, purge_id)
    assert (found.is_gone, found.folders, found.noted) == (False, 1, 0)


@pytest.mark.usefixtures("case")
def test_proof_finds_a_record_that_was_changed(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    purge_id = purge(sessions, store, of_uid(tenant))
    with sessions.begin() as session:
        session.execute(text("DELETE FROM purged"))

    found = proof_of(sessions, store, purge_id)

    assert (found.is_gone, found.is_recorded) == (False, False)


@pytest.mark.usefixtures("case")
def test_proof_finds_a_row_that_is_left(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, case: UUID
) -> None:
    purge_id = purge(sessions, store, of_uid(tenant))
    with sessions.begin() as session:
        session.add(
            StudyRow(
                id=case,
                tenant_id=tenant.id,
                study_uid=UID,
                content_sha256="f",
                instance_count=0,
                size_bytes=0,
            )
        )

    assert proof_of(sessions, store, purge_id).rows == {"studies": 1}


@pytest.mark.usefixtures("case")
def test_purge_of_another_hospital_is_unknown(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, other: TenantRow
) -> None:
    purge_id = purge(sessions, store, of_uid(tenant))
    assert purge_id is not None

    with sessions.begin() as session:
        assert list_purges(session, Scope.of(other.id)) == []
        with pytest.raises(UnknownPurge):
            find_purge(session, Scope.of(other.id), purge_id)


@pytest.mark.usefixtures("case")
def test_feed_goes_on_after_events_were_purged(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        feed = Feed.begin(session)
    purge(sessions, store, of_uid(tenant))
    assert count(sessions, JobEventRow) == 0

    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
    heard = []
    for _ in range(2):
        with sessions.begin() as session:
            heard += feed.read(session)

    assert [one.job_id for one in heard] == [job.id]


def test_study_in_a_bucket_goes_too(
    sessions: Sessions, bucket_url: str, tenant: TenantRow, other: TenantRow
) -> None:
    store = StudyStore.open(bucket_url)
    for owner in (tenant, other):
        analyse(sessions, store, owner.id, keep(sessions, store, owner.id, content="a" * 64))

    purge_id = purge(sessions, store, of_uid(tenant))

    found = proof_of(sessions, store, purge_id)
    assert (found.is_gone, found.studies, found.jobs) == (True, 1, 1)
    assert [str(other.id) in name for name in all_files(store)] == [True] * 3
    (kept,) = [name for name in all_files(store) if name.endswith("0.dcm")]
    left = kept.removeprefix(f"{store.root}/").replace(str(other.id), str(tenant.id))
    assert not store.holds(left)


# ── Retention ─────────────────────────────────────────────────────────────────────────────────


def keep_days(sessions: Sessions, tenant: TenantRow, days: int | None) -> None:
    with sessions.begin() as session:
        keep_for(session, session.get_one(TenantRow, tenant.id), days, by="user ada")


@pytest.mark.usefixtures("case")
def test_study_goes_by_itself_once_its_hospital_keeps_it_no_longer(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    keep_days(sessions, tenant, 30)
    grow_old(sessions, 30)
    list(purge_overdue(sessions))
    assert count(sessions, StudyRow) == 1

    grow_old(sessions, 1)
    list(purge_overdue(sessions))

    assert count(sessions, StudyRow) == 0
    with sessions.begin() as session:
        (row,) = list_purges(session, EVERYTHING)
        prefixes = abandoned(session, grace_s=-1)
    assert (row.by, row.reason) == ("upkeep", Reason.RETENTION)
    assert len(prefixes) == 2
    assert proof_of(sessions, store, row.id).noted == 2


@pytest.mark.usefixtures("case")
def test_hospital_that_says_nothing_keeps_for_ever(sessions: Sessions, other: TenantRow) -> None:
    keep_days(sessions, other, 1)
    grow_old(sessions, 40_000)

    list(purge_overdue(sessions))

    assert count(sessions, StudyRow) == 1


def test_what_is_past_its_time_on_one_day_is_one_purge(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    for number in range(5):
        keep(sessions, store, tenant.id, uid=f"1.2.{number}")
    grow_old(sessions, 10)
    keep_days(sessions, tenant, 3)

    for _ in range(4):
        list(purge_overdue(sessions))

    with sessions.begin() as session:
        (row,) = list_purges(session, EVERYTHING)
    assert row.studies == 5


def test_change_of_how_long_is_kept_is_in_the_log(sessions: Sessions, tenant: TenantRow) -> None:
    keep_days(sessions, tenant, 30)
    keep_days(sessions, tenant, None)

    with sessions.begin() as session:
        entries = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert [entry.detail for entry in entries] == [
        {"before": None, "after": 30},
        {"before": 30, "after": None},
    ]
    assert {entry.tenant_id for entry in entries} == {tenant.id}


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_number_of_days_that_is_none_is_refused(
    sessions: Sessions, tenant: TenantRow, days: int
) -> None:
    with pytest.raises(InvalidRequest, match="expected 1-36500"):
        keep_days(sessions, tenant, days)


def test_studies_of_one_day_are_past_their_time_on_one_day() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert kept_since(30, noon) == datetime(2026, 10, 23, tzinfo=UTC)
    assert kept_since(30, noon + timedelta(hours=11)) == kept_since(30, noon)


def test_studies_past_their_time_are_found_by_an_index(
    sessions: Sessions, store: StudyStore, engine: Engine, tenant: TenantRow
) -> None:
    keep(sessions, store, tenant.id)
    grow_old(sessions, 10)
    keep_days(sessions, tenant, 3)
    with recorded(engine) as asked:
        list(purge_overdue(sessions))

    with engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_sort = off"))
        for sql, values in asked:
            if sql.startswith(("SELECT studies", "SELECT jobs", "DELETE", "SELECT reports")):
                plan = connection.exec_driver_sql(f"EXPLAIN {sql}", values).scalars()
                assert "Seq Scan" not in "\n".join(plan), sql
