"""Whatever workers, people and the upkeep do to jobs in whatever order, a plain model foretells it."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import sampled_from
from sqlalchemy import select, text

from db.changes import cancel_job, retry_job
from db.claims import (
    Claim,
    cancel_running,
    fail_job,
    finish_job,
    give_back,
    hand_back,
    report_progress,
    take_back_overdue,
)
from db.jobs import job_events
from db.session import Sessions
from db.tables import JobRow, Row, TenantRow, WritingRow
from db.tenants import add_tenant
from db.turns import Rules, count_due, take_turn
from hilum.errors import NotCancellable, NotRetriable
from hilum.jobs import FINAL_STATES, JobStopped, Priority, Stage, State
from tests.db.factories import make_report, queue_job

MAX_ATTEMPTS = 2
RULES = Rules(ageing_s=3600.0, stat_share=0.0)


@dataclass
class Model:
    """What a job must be."""

    rank: int
    number: int
    state: State = State.QUEUED
    attempts: int = 0
    holder: UUID | None = None
    asked_to_stop: bool = False
    history: list[str] = field(default_factory=lambda: ["submitted"])

    def become(self, state: State) -> None:
        self.state, self.holder = state, None
        self.history.append(state.value)


class Life(RuleBasedStateMachine):
    """Jobs of one hospital; claims are kept after they are void, as late workers do."""

    jobs: Bundle[UUID] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self.sessions = sessions
        with sessions.begin() as session:
            tables = ", ".join(Row.metadata.tables)
            session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
            session.execute(text("SELECT setval('job_turns', 1, false)"))
            self.tenant: TenantRow = add_tenant(session, "st-vincent")
        self.models: dict[UUID, Model] = {}
        self.numbers = 0

    @rule(target=jobs, priority=sampled_from(Priority))
    def submit(self, priority: Priority) -> UUID:
        with self.sessions.begin() as session:
            job = queue_job(session, self.tenant.id, priority=priority)
        self.numbers += 1
        self.models[job.id] = Model(list(Priority).index(priority), self.numbers)
        return job.id

    @rule(target=claims)
    @precondition(lambda self: self._waiting())
    def take(self) -> Claim:
        expected = min(
            self._waiting(), key=lambda one: (self.models[one].rank, self.models[one].number)
        )

        with self.sessions.begin() as session:
            claim = take_turn(session, RULES, worker="w", lease_s=60, max_attempts=MAX_ATTEMPTS)

        assert claim is not None
        assert claim.job_id == expected
        model = self.models[claim.job_id]
        model.become(State.RUNNING)
        model.attempts += 1
        model.holder = claim.token
        assert claim.attempt == model.attempts
        return claim

    @rule()
    @precondition(lambda self: not self._waiting())
    def find_nothing(self) -> None:
        with self.sessions.begin() as session:
            assert (
                take_turn(session, RULES, worker="w", lease_s=60, max_attempts=MAX_ATTEMPTS) is None
            )

    @rule(claim=claims)
    def report(self, claim: Claim) -> None:
        model = self.models[claim.job_id]
        goes_on = self._holds(claim) and not model.asked_to_stop

        try:
            with self.sessions.begin() as session:
                report_progress(session, claim, Stage.SLICES, 1, 2, lease_s=60)
        except JobStopped:
            assert not goes_on
        else:
            assert goes_on

    @rule(claim=claims)
    def finish(self, claim: Claim) -> None:
        try:
            with self.sessions.begin() as session:
                finish_job(session, claim, make_report(), [])
        except JobStopped:
            assert not self._holds(claim)
        else:
            assert self._holds(claim)
            self.models[claim.job_id].become(State.SUCCEEDED)

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        with self.sessions.begin() as session:
            failed = fail_job(session, claim, "not_axial", "It leans.")

        assert failed is self._holds(claim)
        if failed:
            self.models[claim.job_id].become(State.FAILED)

    @rule(claim=claims)
    def be_stopped(self, claim: Claim) -> None:
        model = self.models[claim.job_id]
        with self.sessions.begin() as session:
            given = hand_back(session, claim, "The worker was stopped.")

        assert given is self._holds(claim)
        if given and model.asked_to_stop:
            model.become(State.CANCELLED)
        elif given:
            model.attempts -= 1
            model.become(State.QUEUED)

    @rule(claim=claims)
    def meet_trouble(self, claim: Claim) -> None:
        with self.sessions.begin() as session:
            given = give_back(session, claim, "The disk is full.", max_attempts=MAX_ATTEMPTS)

        assert given is self._holds(claim)
        if given:
            self._end_attempt(claim.job_id, spent=State.FAILED)

    @rule(claim=claims)
    def stop(self, claim: Claim) -> None:
        model = self.models[claim.job_id]
        with self.sessions.begin() as session:
            cancelled = cancel_running(session, claim)

        assert cancelled is (self._holds(claim) and model.asked_to_stop)
        if cancelled:
            model.become(State.CANCELLED)

    @rule(claim=consumes(claims))
    def lose(self, claim: Claim) -> None:
        """The worker dies, or is only late, and the upkeep looks."""
        with self.sessions.begin() as session:
            session.execute(
                text("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE claim = :t"),
                {"t": claim.token},
            )
            moved = take_back_overdue(session, max_attempts=MAX_ATTEMPTS)

        assert [job.id for job in moved] == ([claim.job_id] if self._holds(claim) else [])
        if moved:
            self._end_attempt(claim.job_id, spent=State.QUARANTINED)

    @rule(job_id=jobs)
    def cancel(self, job_id: UUID) -> None:
        model = self.models[job_id]
        try:
            with self.sessions.begin() as session:
                cancel_job(session, self.tenant.id, job_id)
        except NotCancellable:
            assert model.state in FINAL_STATES
            return
        if model.state is State.QUEUED:
            model.become(State.CANCELLED)
        elif not model.asked_to_stop:
            model.asked_to_stop = True
            model.history.append("cancel_requested")

    @rule(job_id=jobs)
    def retry(self, job_id: UUID) -> None:
        model = self.models[job_id]
        try:
            with self.sessions.begin() as session:
                retry_job(session, self.tenant.id, job_id)
        except NotRetriable:
            assert model.state not in FINAL_STATES or model.state is State.SUCCEEDED
            return
        assert model.state in FINAL_STATES - {State.SUCCEEDED}
        model.history.append("retried")
        model.become(State.QUEUED)
        model.attempts, model.asked_to_stop = 0, False
        # It stands at the end of the queue again.
        model.number = self.numbers = self.numbers + 1

    @invariant()
    def everything_is_as_foretold(self) -> None:
        with self.sessions.begin() as session:
            rows = session.scalars(select(JobRow)).all()
            found = {row.id: (row.state, row.attempts, row.claim) for row in rows}
            histories = {row.id: [one.event for one in job_events(session, row.id)] for row in rows}
            reports = set(session.scalars(text("SELECT job_id FROM reports")))
            writing = set(session.scalars(select(WritingRow.claim)))
            due = count_due(session, most=1000)
        foretold = {
            job_id: (model.state, model.attempts, model.holder)
            for job_id, model in self.models.items()
        }
        assert found == foretold
        assert histories == {job_id: model.history for job_id, model in self.models.items()}
        done = {job_id for job_id, model in self.models.items() if model.state is State.SUCCEEDED}
        assert reports == done
        held = {model.holder for model in self.models.values() if model.holder}
        assert held <= writing
        assert due == len(self._waiting())

    def _waiting(self) -> list[UUID]:
        return [job_id for job_id, model in self.models.items() if model.state is State.QUEUED]

    def _holds(self, claim: Claim) -> bool:
        return self.models[claim.job_id].holder == claim.token

    def _end_attempt(self, job_id: UUID, *, spent: State) -> None:
        model = self.models[job_id]
        if model.asked_to_stop:
            model.become(State.CANCELLED)
        else:
            model.become(spent if model.attempts >= MAX_ATTEMPTS else State.QUEUED)


@pytest.mark.timeout(600)
def test_jobs_live_as_the_model_foretells(sessions: Sessions) -> None:
    run_state_machine_as_test(
        lambda: Life(sessions),
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
