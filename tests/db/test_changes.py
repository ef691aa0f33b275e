from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from db import changes
from db.changes import cancel_job, prioritise_job, retry_job
from db.claims import claim_job, fail_job, finish_job, report_progress, take_back_overdue
from db.jobs import job_events, job_for
from db.outlook import look_ahead
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import Quota, add_tenant, set_quota
from hilum.errors import (
    HilumError,
    NotCancellable,
    NotPrioritisable,
    NotRetriable,
    TooManyJobs,
    UnknownJob,
)
from hilum.jobs import JobStopped, Priority, Stage, State
from tests.db.factories import claim, finished_job, keep_study, make_report, queue_job


def events_of(sessions: Sessions, job_id: UUID) -> list[str]:
    with sessions.begin() as session:
        return [event.event for event in job_events(session, job_id)]


def failed_job(session: Session, tenant: TenantRow, **changes: Any) -> JobRow:
    job = queue_job(session, tenant.id, **changes)
    fail_job(session, claim(session, job), "worker_lost", "Gone.")
    session.refresh(job)
    return job


def cancelled_job(session: Session, tenant: TenantRow) -> JobRow:
    return cancel_job(session, tenant.id, queue_job(session, tenant.id).id)


def quarantined_job(session: Session, tenant: TenantRow) -> JobRow:
    job = queue_job(session, tenant.id)
    claim_job(session, job.id, worker="w", lease_s=-1, max_attempts=1)
    [lost] = take_back_overdue(session, max_attempts=1)
    return lost


@pytest.mark.parametrize(
    "act",
    [cancel_job, retry_job, lambda *ids: prioritise_job(*ids, Priority.STAT)],
    ids=["cancel", "retry", "prioritise"],
)
def test_job_of_another_tenant_is_as_unknown_as_none(
    act: Callable[[Session, UUID, UUID], JobRow], sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = queue_job(session, add_tenant(session, "charite").id)

        for job_id in (other.id, uuid4()):
            with pytest.raises(UnknownJob, match=str(job_id)):
                act(session, tenant.id, job_id)


# ── Stopping ──────────────────────────────────────────────────────────────────────────────────


def test_waiting_job_is_cancelled_at_once(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        cancelled = cancel_job(session, tenant.id, job.id)

    assert (cancelled.state, cancelled.finished_at is None) == (State.CANCELLED, False)
    assert events_of(sessions, job.id) == ["submitted", "cancelled"]


def test_running_job_is_asked_once_to_stop(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)

        for _ in range(2):
            cancelled = cancel_job(session, tenant.id, job.id)

        with pytest.raises(JobStopped):
            report_progress(session, held, Stage.SLICES, 1, 2, lease_s=60)
    assert (cancelled.state, cancelled.cancel_requested) == (State.RUNNING, True)
    assert events_of(sessions, job.id) == ["submitted", "running", "cancel_requested"]


def test_job_that_has_ended_cannot_be_cancelled(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = finished_job(session, tenant.id)

        with pytest.raises(NotCancellable, match=r"succeeded.*expected it queued or running"):
            cancel_job(session, tenant.id, job.id)


def test_cancelling_and_finishing_at_once_leaves_one_outcome(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(6)]
        held = {job.id: claim(session, job) for job in jobs}

    def act(index: int) -> None:
        job = jobs[index // 2]
        with sessions.begin() as session:
            if index % 2:
                finish_job(session, held[job.id], make_report(), [])
            else:
                with suppress(NotCancellable):
                    cancel_job(session, tenant.id, job.id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(act, range(12)))

    with sessions.begin() as session:
        assert {session.get_one(JobRow, job.id).state for job in jobs} == {State.SUCCEEDED}


# ── Trying again ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("made", [failed_job, cancelled_job, quarantined_job])
def test_job_that_ended_without_a_report_is_tried_again_as_if_it_were_new(
    made: Callable[[Session, TenantRow], JobRow], sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        ended = made(session, tenant)
        before, waited_from = ended.state, ended.queued_at

        job = retry_job(session, tenant.id, ended.id, by="key pacs")

        assert (job.id, job.state, job.attempts, job.cancel_requested) == (
            ended.id,
            State.QUEUED,
            0,
            False,
        )
        assert (job.error_code, job.error_message, job.finished_at, job.retry_at) == (None,) * 4
        assert job.queued_at > waited_from
        assert claim(session, job).attempt == 1
    with sessions.begin() as session:
        retried = next(e for e in job_events(session, job.id) if e.event == "retried")
        assert (retried.detail["by"], retried.detail["before"]) == ("key pacs", before)
    assert events_of(sessions, job.id)[-3:] == ["retried", "queued", "running"]


def test_job_under_way_or_with_a_report_is_not_tried_again(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        waiting, running = queue_job(session, tenant.id), queue_job(session, tenant.id)
        claim(session, running)
        done = finished_job(session, tenant.id)

        for job, state in ((waiting, "queued"), (running, "running"), (done, "succeeded")):
            with pytest.raises(
                NotRetriable, match=f"is {state}, expected cancelled, failed, quarantined"
            ):
                retry_job(session, tenant.id, job.id)


def test_job_with_a_live_twin_is_not_tried_again_and_the_twin_is_named(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = failed_job(session, tenant)
        twin = queue_job(session, tenant.id, study_id=job.study_id)
        other_network = queue_job(session, tenant.id, study_id=job.study_id, network="other")

        with pytest.raises(NotRetriable, match=f"Job {twin.id} of the same study.*is queued"):
            retry_job(session, tenant.id, job.id)
        cancel_job(session, tenant.id, twin.id)

        assert retry_job(session, tenant.id, job.id).state is State.QUEUED
    assert other_network.id != twin.id


def test_twin_that_comes_between_look_and_step_is_named_too(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions.begin() as session:
        job = failed_job(session, tenant)
    look, twins = changes._check_alone, []

    def look_and_be_overtaken(session: Session, job: JobRow) -> None:
        look(session, job)
        with sessions.begin() as another:
            twins.append(queue_job(another, tenant.id, study_id=job.study_id).id)

    def retry() -> None:
        with sessions.begin() as session:
            retry_job(session, tenant.id, job.id)

    monkeypatch.setattr(changes, "_check_alone", look_and_be_overtaken)
    with pytest.raises(NotRetriable, match=r"Job .* of the same study"):
        retry()

    assert events_of(sessions, job.id)[-1] == "failed"
    with sessions.begin() as session:
        assert job_for(session, tenant.id, twins[0]).state is State.QUEUED


def test_retries_of_twins_at_once_leave_one_job_and_name_it(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        ids = [failed_job(session, tenant, study_id=study.id).id for _ in range(4)]

    def retry(index: int) -> str:
        try:
            with sessions.begin() as session:
                retry_job(session, tenant.id, ids[index % len(ids)])
        except HilumError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(retry, range(16)))

    with sessions.begin() as session:
        states = [job_for(session, tenant.id, job_id).state for job_id in ids]
    assert sorted(set(outcomes)) == ["done", "not_retriable"]
    assert (outcomes.count("done"), states.count(State.QUEUED)) == (1, 1)


def test_retry_counts_against_the_quota(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = failed_job(session, tenant)
        queue_job(session, tenant.id)
        set_quota(session, tenant.name, Quota(jobs=1))

        with pytest.raises(TooManyJobs, match="1 jobs wait or run and 1 would come"):
            retry_job(session, tenant.id, job.id)


# ── Making it more or less urgent ─────────────────────────────────────────────────────────────


def test_waiting_job_is_made_urgent_and_goes_first(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        last = queue_job(session, tenant.id, priority=Priority.BULK)
        assert look_ahead(session, last).place == 1

        prioritise_job(session, tenant.id, last.id, Priority.STAT)
        prioritise_job(session, tenant.id, last.id, Priority.STAT)

    with sessions.begin() as session:
        assert look_ahead(session, job_for(session, tenant.id, last.id)).place == 0
        [told] = [e for e in job_events(session, last.id) if e.event == "prioritised"]
    assert told.detail == {"by": "api", "before": "bulk", "after": "stat"}


def test_job_that_no_longer_waits_keeps_its_priority(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        running, done = queue_job(session, tenant.id), finished_job(session, tenant.id)
        claim(session, running)

        for job, state in ((running, "running"), (done, "succeeded")):
            with pytest.raises(NotPrioritisable, match=f"is {state}, expected it queued"):
                prioritise_job(session, tenant.id, job.id, Priority.STAT)
