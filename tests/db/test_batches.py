from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import batches
from db.batches import (
    Wish,
    add_batch,
    batch_for,
    close_batch,
    jobs_to_cancel,
    join_batch,
    standings,
    submit_studies,
    time_left_s,
)
from db.claims import report_progress
from db.jobs import job_events
from db.session import Sessions
from db.tables import BatchRow, JobRow, TenantRow
from db.tenants import add_tenant
from hilum.errors import BatchClosed, QueueUnavailable, UnknownBatch
from hilum.jobs import Priority, Stage
from tests.db.factories import claim, finished_job, have_worker, keep_study, queue_job

WISH = Wish("ct-lesions", "resnet50", Priority.ROUTINE, None, "r1")


def make_batch(session: Session, tenant: TenantRow, *, is_open: bool = True) -> BatchRow:
    batch = add_batch(session, tenant.id, label=None, is_open=is_open)
    assert batch is not None
    return batch


def fill(session: Session, batch: BatchRow, studies: list[UUID]) -> int:
    return submit_studies(session, batch, studies, WISH, admit=lambda _: None)


def test_jobs_wait_in_the_order_in_which_their_studies_were_named(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        studies = [keep_study(session, tenant.id).id for _ in range(8)]
        batch = make_batch(session, tenant)

        new = fill(session, batch, studies)

        jobs = session.scalars(select(JobRow).order_by(JobRow.queued_at)).all()
        told = job_events(session, jobs[0].id)
    assert new == 8
    assert [job.study_id for job in jobs] == studies
    assert {(job.slice_count, job.request_id) for job in jobs} == {(2, "r1")}
    assert [event.detail["batch"] for event in told] == [str(batch.id)]


def test_batches_of_the_same_studies_at_once_wait_for_no_other_for_ever(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        studies = [keep_study(session, tenant.id).id for _ in range(60)]

    def submit(turn: int) -> int:
        with sessions.begin() as session:
            ordered = studies if turn % 2 else list(reversed(studies))
            return fill(session, make_batch(session, tenant), ordered)

    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(submit, range(12)))

    assert sum(new) == len(studies)


def test_studies_that_others_submit_again_and_again_are_given_up(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_insert_jobs", lambda *_: {})

    with sessions.begin() as session, pytest.raises(QueueUnavailable, match="several callers"):
        fill(session, make_batch(session, tenant), [keep_study(session, tenant.id).id])


def test_batch_without_jobs_has_done_nothing_of_nothing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        batch = make_batch(session, tenant)

        standing = standings(session, [batch.id])[batch.id]

        assert (standing.total, standing.fraction, standing.has_ended) == (0, 0.0, True)
        assert time_left_s(session, batch.id) is None
        assert jobs_to_cancel(session, batch.id) == []


def test_time_left_is_that_of_the_job_which_is_served_last(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        batch = make_batch(session, tenant)
        fill(session, batch, [keep_study(session, tenant.id).id for _ in range(3)])
        jobs = session.scalars(select(JobRow).order_by(JobRow.queued_at)).all()
        have_worker(session)
        unknown = time_left_s(session, batch.id)
        done = finished_job(session, tenant.id, slice_count=1)
        assert done.started_at is not None
        done.finished_at = done.started_at + timedelta(seconds=1)
        for job in jobs:
            job.slice_count = 10
        session.flush()

        waiting = time_left_s(session, batch.id)
        report_progress(session, claim(session, jobs[0]), Stage.WRITING, 1, 1, lease_s=60)
        later = time_left_s(session, batch.id)

    assert unknown is None
    assert (waiting, later) == (30.0, 20.0)


def test_nobody_joins_a_closed_batch_or_that_of_another(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        batch = make_batch(session, tenant)
        stranger = add_tenant(session, "charite")
        for _ in range(2):
            join_batch(session, tenant.id, batch.id, job.id)
        closed_at = close_batch(session, tenant.id, batch.id).closed_at

        assert close_batch(session, tenant.id, batch.id).closed_at == closed_at
        assert standings(session, [batch.id])[batch.id].total == 1
        with pytest.raises(BatchClosed, match=str(batch.id)):
            join_batch(session, tenant.id, batch.id, job.id)
        for tenant_id, batch_id in ((stranger.id, batch.id), (tenant.id, uuid4())):
            with pytest.raises(UnknownBatch, match=str(batch_id)):
                batch_for(session, tenant_id, batch_id)
