"""Every question the API asks is answered by an index: PostgreSQL itself is asked how."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from db.admission import count_live_jobs, stored_bytes
from db.attempts import attempts
from db.batches import (
    BatchFilter,
    Wish,
    add_batch,
    check_open,
    jobs_to_cancel,
    list_batches,
    repeated_batch,
    standings,
    submit_studies,
    time_left_s,
)
from db.cases import CaseFilter, Sight, count_cases, list_cases, search
from db.changes import cancel_job, retry_job
from db.choices import hospitals, networks, scanners
from db.claims import claim_job, take_back_overdue, wait_for_network
from db.contents import series_contents, study_contents
from db.dicomweb import (
    Search,
    find_instances,
    is_known,
    search_instances,
    search_series,
    search_studies,
)
from db.drains import drain_worker, release_worker
from db.jobs import (
    JobFilter,
    count_jobs_after,
    find_job_by_idempotency_key,
    job_events,
    job_for,
    list_jobs,
)
from db.lines import running_jobs, waiting_lines
from db.notices import (
    NoticeFilter,
    list_notices,
    queue_notices,
    send_notice_again,
    take_notice,
)
from db.outgoing import count_outgoing
from db.outlook import look_ahead
from db.pages import Page
from db.pauses import list_pauses
from db.queue import count_by_state, count_tried_before, depths, flow
from db.regrades import count_otherwise, foretell, regrade_report
from db.reports import ReportFilter, artifact_for, list_reports, report_for
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.studies import (
    StudyFilter,
    find_study,
    instance_by_uid,
    instance_keys,
    list_studies,
    study_for,
)
from db.tables import BatchRow, DeliveryRow, JobRow, NoticeRow, TenantRow, WebhookRow
from db.tenants import new_key, tenant_of_key
from db.throughput import throughput
from db.troubles import NEWEST_FIRST, count_troubled, list_troubled
from db.turns import Rules, count_due, longest_wait_s, take_turn
from db.webhooks import add_webhook, list_webhooks
from db.workers import (
    Load,
    Work,
    count_live,
    forget_workers,
    heartbeat,
    known_workers,
    live_workers,
)
from hilum.dicom.matching import match_of
from hilum.grading import MOSMED, Verdict
from hilum.jobs import Priority, State
from tests.db.factories import STUDY_UID, claim, finished_job, keep_study, queue_job
from tests.db.test_workers import make_worker

NOW = datetime.now(UTC)
STRICT = replace(MOSMED, version="strict-1")


@dataclass(frozen=True)
class Case:
    session: Session
    tenant_id: UUID
    job: JobRow


Ask = Callable[[Case], object]


def dicomweb(case: Case, **keys: str) -> Search:
    matches = {name: match_of(name, value) for name, value in keys.items()}
    return Search(case.tenant_id, {name: each for name, each in matches.items() if each})


def send_again(case: Case) -> object:
    """Tell a webhook once more what it was told."""
    webhook = add_webhook(case.session, case.tenant_id, "https://example.org/hook")
    queue_notices(case.session, case.job)
    told = case.session.scalars(select(NoticeRow).where(NoticeRow.job_id == case.job.id)).one()
    return send_notice_again(case.session, webhook, told.id)


def full_batch(case: Case) -> BatchRow:
    """A batch that has everything a batch can have."""
    batch = add_batch(case.session, case.tenant_id, label=None, is_open=True)
    assert batch is not None
    running = queue_job(case.session, case.tenant_id)
    claim(case.session, running)
    wish = Wish("ct-lesions", "resnet50", Priority.ROUTINE, None, None)
    studies = [case.job.study_id, running.study_id, keep_study(case.session, case.tenant_id).id]
    submit_studies(case.session, batch, studies, wish, admit=lambda _: None)
    return batch


def waiting_line(case: Case) -> object:
    """Look at a queue in which somebody waits."""
    queue_job(case.session, case.tenant_id)
    return waiting_lines(case.session, Scope.of(case.tenant_id))


def drain_and_release(case: Case) -> None:
    heartbeat(case.session, make_worker("ward-3:17"), Work(), Load())
    drain_worker(case.session, "ward-3:17", by="ada")
    release_worker(case.session, "ward-3:17")
    forget_workers(case.session)


def cancelled_job(case: Case) -> JobRow:
    job = queue_job(case.session, case.tenant_id)
    return cancel_job(case.session, case.tenant_id, job.id)


SEES_ALL = Sight(EVERYTHING, EVERYTHING)


def sight_of(case: Case) -> Sight:
    return Sight(Scope.of(case.tenant_id), Scope.of(case.tenant_id))


LISTS: dict[str, Ask] = {
    "studies": lambda c: list_studies(c.session, c.tenant_id, StudyFilter(), Page(limit=1)),
    "studies by date": lambda c: list_studies(
        c.session, c.tenant_id, StudyFilter(dated_from=date(2026, 1, 1)), Page(sort="-study_date")
    ),
    "jobs": lambda c: list_jobs(c.session, c.tenant_id, JobFilter(since=NOW), Page()),
    "jobs in a state": lambda c: list_jobs(
        c.session, c.tenant_id, JobFilter(state=State.RUNNING), Page()
    ),
    "reports": lambda c: list_reports(c.session, c.tenant_id, ReportFilter(until=NOW), Page()),
    "reports by share": lambda c: list_reports(
        c.session, c.tenant_id, ReportFilter(share_from=0.1), Page(sort="lesion_share")
    ),
    "reports by verdict": lambda c: list_reports(
        c.session, c.tenant_id, ReportFilter(verdict=Verdict.MILD), Page()
    ),
    "batches": lambda c: list_batches(c.session, c.tenant_id, BatchFilter(), Page()),
    "studies of DICOMweb": lambda c: search_studies(c.session, dicomweb(c)),
    "what went wrong": lambda c: list_troubled(
        c.session, Scope.of(c.tenant_id), Page(sort=NEWEST_FIRST)
    ),
    "cases": lambda c: list_cases(
        c.session, search(c.session, SEES_ALL, CaseFilter()), Page(sort="-received")
    ),
    "cases of a hospital": lambda c: list_cases(
        c.session, search(c.session, sight_of(c), CaseFilter()), Page(sort="-received")
    ),
    "cases by their end": lambda c: list_cases(
        c.session, search(c.session, SEES_ALL, CaseFilter()), Page(sort="-finished")
    ),
    "cases by share": lambda c: list_cases(
        c.session,
        search(c.session, SEES_ALL, CaseFilter(share_from=0.1)),
        Page(sort="-lesion_share"),
    ),
    "cases by study date": lambda c: list_cases(
        c.session, search(c.session, SEES_ALL, CaseFilter()), Page(sort="study_date")
    ),
    "log of a webhook": lambda c: list_notices(
        c.session, WebhookRow(id=uuid4()), NoticeFilter(), Page()
    ),
}
"""Long lists: read in the order of an index, so that a page costs its own rows and no more."""

QUESTIONS: dict[str, Ask] = {
    "cases that went wrong so": lambda c: list_cases(
        c.session,
        search(
            c.session,
            sight_of(c),
            CaseFilter(error="not_axial", finished_since=datetime(2026, 3, 1, tzinfo=UTC)),
        ),
        Page(sort="-received"),
    ),
    "how many cases": lambda c: count_cases(
        c.session, search(c.session, sight_of(c), CaseFilter())
    ),
    "which networks": lambda c: networks(c.session, EVERYTHING),
    "which scanners": lambda c: scanners(c.session, Scope.of(c.tenant_id)),
    "which hospitals": lambda c: hospitals(c.session, Scope.of(c.tenant_id)),
    "studies by uid": lambda c: list_studies(
        c.session, c.tenant_id, StudyFilter(study_uid="1.2"), Page()
    ),
    "study by content": lambda c: find_study(c.session, c.tenant_id, "c0ffee"),
    "study": lambda c: study_for(c.session, c.tenant_id, c.job.study_id),
    "files": lambda c: instance_keys(c.session, c.job.study_id),
    "one file": lambda c: instance_by_uid(c.session, c.job.study_id, "1.2.3"),
    "jobs of a study": lambda c: list_jobs(
        c.session, c.tenant_id, JobFilter(study_id=c.job.study_id), Page()
    ),
    "job": lambda c: job_for(c.session, c.tenant_id, c.job.id),
    "job by key": lambda c: find_job_by_idempotency_key(c.session, c.tenant_id, "K1"),
    "job again": lambda c: queue_job(c.session, c.tenant_id, study_id=c.job.study_id),
    "events": lambda c: job_events(c.session, c.job.id),
    "report": lambda c: report_for(c.session, c.tenant_id, c.job.id),
    "artifact": lambda c: artifact_for(c.session, c.tenant_id, c.job.id, "masks"),
    "outlook": lambda c: look_ahead(c.session, queue_job(c.session, c.tenant_id)),
    "turn": lambda c: take_turn(
        c.session, Rules(60.0, 0.0), worker="w", lease_s=60, max_attempts=3
    ),
    "claim": lambda c: claim_job(c.session, c.job.id, worker="w", lease_s=60, max_attempts=3),
    "network": lambda c: wait_for_network(
        c.session,
        claim(c.session, queue_job(c.session, c.tenant_id)),
        "It is absent.",
        limit_s=60,
        wait_s=0,
    ),
    "overdue": lambda c: take_back_overdue(c.session, max_attempts=3),
    "due": lambda c: count_due(c.session, most=1000),
    "DICOMweb by study": lambda c: search_studies(
        c.session, dicomweb(c, StudyInstanceUID="1.2,1.3")
    ),
    "DICOMweb by patient": lambda c: search_studies(c.session, dicomweb(c, PatientID="4711")),
    "DICOMweb by accession": lambda c: search_studies(c.session, dicomweb(c, AccessionNumber="A1")),
    "DICOMweb by date": lambda c: search_studies(
        c.session, dicomweb(c, StudyDate="20260101-20260131")
    ),
    "DICOMweb by modality": lambda c: search_studies(
        c.session, dicomweb(c, ModalitiesInStudy="CT")
    ),
    "series of DICOMweb": lambda c: search_series(
        c.session, dicomweb(c, SeriesInstanceUID="1.2", Modality="CT")
    ),
    "instances of DICOMweb": lambda c: search_instances(
        c.session, dicomweb(c, StudyInstanceUID="1.2")
    ),
    "objects of a study": lambda c: find_instances(c.session, c.tenant_id, STUDY_UID),
    "one object": lambda c: find_instances(c.session, c.tenant_id, STUDY_UID, "1.2", "1.3"),
    "whether there is a series": lambda c: is_known(c.session, c.tenant_id, STUDY_UID, "1.2"),
    "what studies hold": lambda c: study_contents(c.session, c.tenant_id, {STUDY_UID}),
    "what series hold": lambda c: series_contents(c.session, c.tenant_id, {STUDY_UID}, {"1.2"}),
    "webhooks": lambda c: list_webhooks(c.session, c.tenant_id),
    "notice to send": lambda c: take_notice(c.session, lease_s=60),
    "notice again": send_again,
    "what waits": lambda c: depths(c.session),
    "jobs by state": lambda c: count_by_state(c.session),
    "jobs tried before": lambda c: count_tried_before(c.session),
    "whether jobs are taken": lambda c: flow(c.session),
    "what waits by hospital": waiting_line,
    "what runs": lambda c: running_jobs(c.session, Scope.of(c.tenant_id)),
    "what was done": lambda c: throughput(c.session, Scope.of(c.tenant_id)),
    "how many went wrong": lambda c: count_troubled(c.session, Scope.of(c.tenant_id)),
    "how jobs were tried": lambda c: attempts(c.session, [c.job.id]),
    "what is paused": lambda c: list_pauses(c.session, Scope.of(c.tenant_id)),
    "drain": drain_and_release,
    "deliveries by state": lambda c: count_outgoing(c.session, DeliveryRow),
    "notices by state": lambda c: count_outgoing(c.session, NoticeRow),
    "live workers": lambda c: live_workers(c.session),
    "how many workers live": lambda c: count_live(c.session),
    "known workers": lambda c: known_workers(c.session),
    "jobs of a batch": lambda c: list_jobs(
        c.session, c.tenant_id, JobFilter(batch_id=full_batch(c).id), Page()
    ),
    "jobs that failed alike": lambda c: list_jobs(
        c.session, c.tenant_id, JobFilter(state=State.FAILED, error_code="x"), Page()
    ),
    "how many jobs": lambda c: count_jobs_after(
        c.session, c.tenant_id, JobFilter(state=State.FAILED), Page()
    ),
    "standing of a batch": lambda c: standings(c.session, [full_batch(c).id]),
    "time left of a batch": lambda c: time_left_s(c.session, full_batch(c).id),
    "jobs of a batch to cancel": lambda c: jobs_to_cancel(c.session, full_batch(c).id),
    "batch by key": lambda c: repeated_batch(c.session, c.tenant_id, "K1", ""),
    "whether a batch is open": lambda c: check_open(c.session, c.tenant_id, full_batch(c).id),
    "live jobs of a hospital": lambda c: count_live_jobs(c.session, c.tenant_id),
    "bytes of a hospital": lambda c: stored_bytes(c.session, c.tenant_id),
    "age of the queue": lambda c: longest_wait_s(c.session),
    "cancel": lambda c: cancel_job(c.session, c.tenant_id, queue_job(c.session, c.tenant_id).id),
    "retry": lambda c: retry_job(c.session, c.tenant_id, cancelled_job(c).id),
    "regrade": lambda c: regrade_report(c.session, c.tenant_id, c.job.id, MOSMED, by="nobody"),
    "what grading anew would change": lambda c: foretell(c.session, STRICT, Scope.of(c.tenant_id)),
    "reports that others graded": lambda c: count_otherwise(c.session, STRICT.version),
    "key": lambda c: tenant_of_key(c.session, "hilum_nobody"),
}


WORDS: dict[str, Ask] = {
    "cases by words": lambda c: list_cases(
        c.session,
        search(c.session, SEES_ALL, CaseFilter(text="smith 4711")),
        Page(sort="-received"),
    ),
    "cases by words, patients hidden": lambda c: list_cases(
        c.session,
        search(c.session, Sight(EVERYTHING, Scope.of()), CaseFilter(text="1.2")),
        Page(sort="received"),
    ),
}
"""Searches by words, each of which may begin the name of a hospital: these are few, and read whole."""


@contextmanager
def recorded(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plans_of(engine: Engine, ask: Ask, tenant: TenantRow, sessions: Sessions) -> list[str]:
    """Return the plan of every SELECT and UPDATE that a question leads to."""
    with sessions.begin() as session:
        new_key(session, tenant.name, "pacs")
        job = finished_job(session, tenant.id)
    with recorded(engine) as statements, sessions.begin() as session:
        ask(Case(session, tenant.id, job))
    with engine.connect() as connection:
        # A table of three rows is read faster whole; the question is what happens with millions.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        # So few are also sorted quickly, whichever index they come from.
        connection.execute(text("SET LOCAL enable_sort = off"))
        return [
            "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
            for sql, values in statements
            if sql.startswith(("SELECT", "UPDATE", "WITH"))
        ]


@pytest.mark.parametrize("name", [*LISTS, *QUESTIONS])
def test_question_is_answered_by_an_index(
    name: str, engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    plans = plans_of(engine, (LISTS | QUESTIONS)[name], tenant, sessions)

    assert plans
    for plan in plans:
        assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("name", LISTS)
def test_page_is_read_in_the_order_of_an_index(
    name: str, engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    page_plan = plans_of(engine, LISTS[name], tenant, sessions)[0]

    assert "Sort" not in page_plan, page_plan


@pytest.mark.parametrize("name", WORDS)
def test_words_are_found_by_their_index(
    name: str, engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    plans = plans_of(engine, WORDS[name], tenant, sessions)

    for plan in plans:
        assert "Seq Scan" not in plan.replace("Seq Scan on tenants", ""), plan
    assert any("ix_cases_words" in plan for plan in plans)
