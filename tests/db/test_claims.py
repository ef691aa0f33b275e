from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.changes import cancel_job
from db.claims import (
    EXHAUSTED,
    FREE_RETURNS,
    WORKER_LOST,
    Claim,
    cancel_running,
    claim_job,
    fail_job,
    finish_job,
    give_back,
    hand_back,
    keep_hold,
    report_progress,
    take_back_overdue,
    wait_for_network,
)
from db.jobs import job_events
from db.session import Sessions
from db.steps import take_step
from db.tables import ArtifactRow, JobRow, ReportRow, TenantRow
from hilum.jobs import JobStopped, Stage, State
from tests.db.factories import claim, make_artifact, make_report, queue_job


def let_lease_run_out(session: Session, job: JobRow) -> None:
    session.execute(
        text("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = :id"),
        {"id": job.id},
    )


def events_of(session: Session, job: JobRow) -> list[str]:
    return [event.event for event in job_events(session, job.id)]


def test_claimed_job_runs_with_a_lease_and_a_counted_attempt(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job, lease_s=60)

        session.refresh(job)

    assert (held.attempt, held.study_id) == (1, job.study_id)
    assert (job.state, job.worker, job.claim) == (State.RUNNING, "gpu-1", held.token)
    assert job.started_at is not None
    assert job.lease_until is not None
    assert (job.lease_until - job.started_at).total_seconds() == pytest.approx(60)


def test_message_that_comes_twice_is_taken_once(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

    def take(number: int) -> Claim | None:
        with sessions.begin() as session:
            return claim_job(session, job.id, worker=f"{number}", lease_s=60, max_attempts=3)

    with ThreadPoolExecutor(5) as pool:
        claims = [taken for taken in pool.map(take, range(10)) if taken]

    assert len(claims) == 1
    with sessions.begin() as session:
        assert session.get_one(JobRow, job.id).attempts == 1


def test_unknown_job_is_not_taken(sessions: Sessions) -> None:
    with sessions.begin() as session:
        taken = claim_job(session, UUID(int=1), worker="w", lease_s=60, max_attempts=3)

    assert taken is None


def test_progress_is_written_and_the_lease_extended(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job, lease_s=5)

        report_progress(session, held, Stage.SLICES, 20, 40, lease_s=500)

        session.refresh(job)
        extended = session.scalar(
            select(JobRow.lease_until > text("now() + interval '400 seconds'"))
        )
    assert (job.stage, job.stage_done, job.stage_total) == ("slices", 20, 40)
    assert job.fraction == pytest.approx(0.03 + 0.20 + 0.66 / 2)
    assert extended


def test_outcome_is_kept_with_report_and_files(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        finish_job(session, claim(session, job), make_report(findings=2), [make_artifact(job)])

        session.refresh(job)
        report = session.scalars(select(ReportRow)).one()
        assert [finding.number for finding in report.findings] == [1, 2]
        assert session.scalars(select(ArtifactRow.kind)).all() == ["masks"]
        assert events_of(session, job) == ["submitted", "running", "succeeded"]
    assert (job.state, job.fraction, job.claim, job.lease_until) == ("succeeded", 1.0, None, None)
    assert job.timings_s == {"reading": 1.0, "slices": 3.0}


def test_late_worker_with_an_old_token_can_change_nothing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        late = claim(session, job, worker="late")
        let_lease_run_out(session, job)
        take_back_overdue(session, max_attempts=3)
        held = claim(session, job, worker="new")

        with pytest.raises(JobStopped, match="no longer held by attempt 1"):
            report_progress(session, late, Stage.SLICES, 1, 2, lease_s=60)
        with pytest.raises(JobStopped, match="no longer held by attempt 1"):
            finish_job(session, late, make_report(), [])
        give_back(session, late, "late", max_attempts=3)

        assert not wait_for_network(session, late, "late", limit_s=60, wait_s=0)
        assert not fail_job(session, late, "internal_error", "late")
        assert not cancel_running(session, late)
        session.refresh(job)
        assert (job.state, job.claim, job.worker) == (State.RUNNING, held.token, "new")
        assert session.scalars(select(ReportRow)).all() == []


def test_job_of_a_lost_worker_waits_again_from_the_beginning(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        report_progress(session, claim(session, job), Stage.SLICES, 1, 2, lease_s=60)
        let_lease_run_out(session, job)

        taken_back = take_back_overdue(session, max_attempts=3)

        session.refresh(job)
        assert [row.id for row in taken_back] == [job.id]
        assert (job.state, job.attempts, job.fraction, job.stage) == (State.QUEUED, 1, 0.0, None)
        assert (job.worker, job.claim) == (None, None)
        assert events_of(session, job) == ["submitted", "running", "queued"]


def test_worker_that_still_reports_keeps_its_job(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        claim(session, job)

        assert take_back_overdue(session, max_attempts=3) == []


def test_job_that_loses_every_worker_is_put_into_quarantine(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        for _ in range(3):
            claim(session, job)
            let_lease_run_out(session, job)
            take_back_overdue(session, max_attempts=3)

        session.refresh(job)

    assert (job.state, job.attempts, job.error_code) == (State.QUARANTINED, 3, WORKER_LOST)
    assert job.finished_at is not None


def test_waiting_job_over_the_cap_fails_when_it_is_asked_for(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        give_back(session, claim(session, job), "once", max_attempts=3)

        # The cap was lowered while it waited.
        taken = claim_job(session, job.id, worker="w", lease_s=60, max_attempts=1)

        session.refresh(job)
    assert taken is None
    assert (job.state, job.error_code) == (State.FAILED, EXHAUSTED)


def test_job_given_back_waits_for_another_attempt(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        give_back(session, claim(session, job), "The disk is full.", max_attempts=3)

        session.refresh(job)
        assert job.state is State.QUEUED
        assert job_events(session, job.id)[-1].detail == {"reason": "The disk is full."}
        assert claim(session, job).attempt == 2


def test_job_whose_worker_had_to_end_is_handed_back_without_having_cost_an_attempt(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        late = claim(session, job)
        hand_back(session, late, "The worker was stopped.")

        held = claim(session, job)
        again = hand_back(session, late, "The worker was stopped.")

        session.refresh(job)
    assert (held.attempt, again) == (1, False)
    assert job.state is State.RUNNING


def test_job_that_ends_its_workers_is_not_handed_back_for_ever(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        taken = 0
        while held := claim_job(session, job.id, worker="w", lease_s=60, max_attempts=3):
            hand_back(session, held, "The worker was stopped.")
            taken += 1

        session.refresh(job)
    assert taken == FREE_RETURNS + 3
    assert (job.state, job.error_code) == (State.FAILED, EXHAUSTED)


def test_job_that_was_asked_to_stop_ends_where_it_would_be_handed_back(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
        cancel_job(session, tenant.id, job.id)

        assert hand_back(session, held, "The worker was stopped.")

        session.refresh(job)
    assert job.state is State.CANCELLED


def test_job_given_back_too_often_fails_with_the_last_reason(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        give_back(session, claim(session, job), "The disk is full.", max_attempts=1)

        session.refresh(job)
    assert (job.state, job.error_code) == (State.FAILED, EXHAUSTED)
    assert job.error_message is not None
    assert job.error_message.endswith("The disk is full.")


def lack_network(
    session: Session, job: JobRow, *, limit_s: float = 3600, wait_s: float = 0
) -> bool:
    reason = "This worker lacks network resnet50."
    return wait_for_network(session, claim(session, job), reason, limit_s=limit_s, wait_s=wait_s)


def make_absent_for(session: Session, job: JobRow, *, minutes: int) -> None:
    session.execute(
        text("UPDATE jobs SET absent_since = now() - make_interval(mins => :m) WHERE id = :id"),
        {"m": minutes, "id": job.id},
    )


def test_job_without_a_network_waits_and_spends_no_attempt(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        lack_network(session, job)
        make_absent_for(session, job, minutes=59)

        for _ in range(5):
            assert lack_network(session, job, wait_s=30)

        session.refresh(job)
        assert (job.state, job.attempts, job.claim) == (State.QUEUED, 0, None)
        assert session.scalar(select(JobRow.absent_since < text("now() - interval '58 minutes'")))
        assert session.scalar(select(JobRow.retry_at > text("now() + interval '29 seconds'")))
        assert job_events(session, job.id)[-1].detail["reason"].endswith("lacks network resnet50.")


def test_job_whose_network_nobody_has_for_too_long_fails_and_names_it(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        lack_network(session, job)
        make_absent_for(session, job, minutes=61)

        lack_network(session, job)

        session.refresh(job)
    assert (job.state, job.error_code) == (State.FAILED, "network_absent")
    assert job.error_message == (
        "No worker has had network resnet50 for 60 minutes. This worker lacks network resnet50."
    )


def test_job_that_waited_long_for_its_turn_waits_for_its_network_as_long_as_any(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        session.execute(text("UPDATE jobs SET created_at = now() - interval '1 day'"))

        lack_network(session, job)

        session.refresh(job)
    assert job.state is State.QUEUED


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("running", State.QUEUED),
        ("taken", State.FAILED),
        ("ended", State.QUEUED),
        ("ended long ago", State.FAILED),
        ("ended by another network", State.FAILED),
    ],
)
def test_job_waits_on_while_another_worker_has_its_network(
    state: str, outcome: State, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        network = "resnet101" if "another" in state else "resnet50"
        other = queue_job(session, tenant.id, network=network)
        held = claim(session, other)
        if state == "running":
            report_progress(session, held, Stage.READING, 0, 1, lease_s=60)
        if "ended" in state:
            finish_job(session, held, make_report(), [])
        if "ago" in state:
            session.execute(text("UPDATE jobs SET finished_at = now() - interval '61 minutes'"))
        job = queue_job(session, tenant.id)
        make_absent_for(session, job, minutes=600)

        lack_network(session, job)

        session.refresh(job)
    assert job.state is outcome


def test_job_that_found_its_network_waits_anew_for_it(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        make_absent_for(session, job, minutes=600)
        give_back(session, claim(session, job), "The disk is full.", max_attempts=3)

        lack_network(session, job)

        session.refresh(job)
    assert (job.state, job.attempts) == (State.QUEUED, 1)


@pytest.mark.parametrize("way", ["reported", "overdue", "given back", "without network"])
def test_job_asked_to_stop_ends_cancelled_however_its_attempt_ends(
    way: str, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
        cancel_job(session, tenant.id, job.id)

        if way == "reported":
            assert cancel_running(session, held)
        if way == "overdue":
            let_lease_run_out(session, job)
            take_back_overdue(session, max_attempts=3)
        if way == "given back":
            give_back(session, held, "The disk is full.", max_attempts=3)
        if way == "without network":
            wait_for_network(session, held, "It is absent.", limit_s=60, wait_s=0)

        session.refresh(job)
    assert (job.state, job.claim, job.finished_at is None) == (State.CANCELLED, None, False)


def test_job_nobody_asked_to_stop_is_not_cancelled(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        assert not cancel_running(session, claim(session, job))


def test_hold_is_kept_without_progress_and_only_by_its_holder(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job, lease_s=5)

        keep_hold(session, held, lease_s=500)
        keep_hold(session, replace(held, token=uuid4()), lease_s=5000)

        session.refresh(job)
    assert job.started_at is not None
    assert job.lease_until is not None
    assert (job.lease_until - job.started_at).total_seconds() == pytest.approx(500)


def test_step_that_no_job_may_take_is_refused(sessions: Sessions) -> None:
    with sessions.begin() as session, pytest.raises(ValueError, match="succeeded to queued"):
        take_step(session, State.SUCCEEDED, State.QUEUED)
