"""What every page asks the database: so many statements, whatever it shows."""

import re
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

import pytest
from apiflask import APIFlask
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.audit import append
from db.batches import add_batch
from db.destinations import add_destination
from db.drains import drain_worker
from db.feedback import Word, say
from db.reports import report_for
from db.saved_filters import save_filter
from db.session import Sessions
from db.steps import record
from db.tables import PurgeRow, TenantRow, UserRow
from db.tenants import add_tenant, new_key
from db.thresholds import add_thresholds
from db.users import add_user, grant
from db.webhooks import add_webhook
from db.workers import Load, Work, heartbeat
from hilum.audit import Action, Entry
from hilum.destinations import parse_entity
from hilum.jobs import Priority
from hilum.people import Role
from tests.api.dashboard.admin.test_thresholds import OWN
from tests.api.dashboard.visitor import Visitor
from tests.db.factories import claim, finished_job, queue_job, study_of
from tests.db.test_troubles import failed_job, quarantined_job
from tests.db.test_workers import make_worker

BUDGETS: Final = {
    "dashboard.cases.index": 15,
    "dashboard.cases.rows": 11,
    "dashboard.case.show": 16,
    "dashboard.case.status": 3,
    "dashboard.compare.show": 9,
    "dashboard.send.page": 3,
    "dashboard.send.answer": 4,
    "dashboard.queue.index": 17,
    "dashboard.queue.live": 15,
    "dashboard.insights.index": 9,
    "dashboard.insights.panel": 4,
    "dashboard.admin.home": 2,
    "dashboard.admin.users.index": 5,
    "dashboard.admin.users.show": 5,
    "dashboard.admin.keys.index": 4,
    "dashboard.admin.destinations.index": 6,
    "dashboard.admin.destinations.show": 5,
    "dashboard.admin.webhooks.index": 6,
    "dashboard.admin.webhooks.show": 4,
    "dashboard.admin.tenants.index": 3,
    "dashboard.admin.tenants.show": 8,
    "dashboard.admin.thresholds.index": 5,
    "dashboard.admin.thresholds.show": 6,
    "dashboard.admin.thresholds.progress": 5,
    "dashboard.admin.networks.index": 3,
    "dashboard.admin.retention.index": 5,
    "dashboard.admin.retention.progress": 5,
    "dashboard.admin.audit.index": 4,
    "dashboard.admin.health.index": 24,
    "dashboard.admin.health.now": 24,
}
"""Statements of each page, or part of one, that a person can open: the sign-in, the roles and the
entry in the audit log among them. A page without a number has no place here, and fails."""

OTHERWISE: Final = {
    "dashboard.home": "leads to the cases",
    "dashboard.case_files.everything": "a file",
    "dashboard.insights.export": "a file",
    "dashboard.admin.audit.export": "a file",
}
"""What answers GET and is no page."""

Ids = dict[str, str]


@pytest.fixture
def ids(sessions: Sessions, tenant: TenantRow, finished: str, told: Ids, admin: Visitor) -> Ids:
    """What addresses are filled with, all of the hospital `tenant`."""
    assert admin
    with sessions.begin() as session:
        add_thresholds(session, OWN, by="user ada.admin")
        archive = add_destination(session, tenant.name, "pacs", parse_entity("PACS@10.0.0.7:104"))
        user = session.scalars(select(UserRow).where(UserRow.name == "ada.admin")).one()
        one, other = (patient_again(session, tenant) for _ in range(2))
        purge = PurgeRow(tenant_id=tenant.id, by="user x", reason="request")
        session.add(purge)
        session.flush()
    return {
        "job_id": finished,
        "webhook_id": told["webhook_id"],
        "tenant_id": str(tenant.id),
        "user_id": str(user.id),
        "destination_id": str(archive.id),
        "version": OWN.version,
        "name": "speed",
        "purge_id": str(purge.id),
        "one": str(one),
        "other_id": str(other),
    }


def patient_again(session: Session, tenant: TenantRow) -> UUID:
    """Report on a study of a patient who was here before; return the job."""
    study = study_of(session, tenant.id)
    return finished_job(session, tenant.id, study_id=study.id).id


def have_more(session: Session, tenant: TenantRow, ids: Ids) -> None:
    """Have one more of everything that a page lists."""
    name = uuid4().hex[:8]
    hospital = add_tenant(session, f"hospital-{name}")
    for where in (tenant, hospital):
        job_id = patient_again(session, where)
        for priority in Priority:
            queue_job(session, where.id, priority=priority)
        claim(session, queue_job(session, where.id), worker=f"w-{name}:1")
        failed_job(session, where)
        quarantined_job(session, where)
        new_key(session, where.name, f"scanner-{name}")
        add_webhook(session, where.id, f"http://127.0.0.1:9/{name}")
        add_destination(session, where.name, f"pacs-{name}", parse_entity("A@10.0.0.7:104"))
        add_batch(session, where.id, label=f"night {name}", is_open=True)
        user = add_user(session, f"somebody-{where.name}-{name}")
        grant(session, user, Role.READER, where.id)
        session.add(PurgeRow(tenant_id=where.id, by="user x", reason="request"))
        report = report_for(session, where.id, job_id)
        say(session, report, user.id, Word(agrees=True), seen=report.verdict)
        append(session, Entry("user x", Action.CASE_VIEWED, where.id))
    heartbeat(session, make_worker(f"w-{name}:1"), Work(), Load())
    drain_worker(session, f"w-{name}:1", by="user ada")
    save_filter(session, UUID(ids["user_id"]), name, "state=failed")
    record(session, UUID(ids["job_id"]), "prioritised", {"by": "somebody"})


def pages(app: APIFlask, ids: Ids) -> dict[str, str]:
    """Return the address of every page, by its endpoint."""
    rules = (
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("dashboard.") and "GET" in (rule.methods or ())
    )
    found = {
        rule.endpoint: re.sub(r"<(?:\w+:)?(\w+)>", lambda field: ids[field[1]], rule.rule)
        for rule in rules
        if rule.endpoint not in OTHERWISE
    }
    return {
        endpoint: path.replace(ids["job_id"], ids["one"]) if "compare" in endpoint else path
        for endpoint, path in found.items()
    }


@pytest.fixture
def fill(sessions: Sessions, tenant: TenantRow, ids: Ids) -> Callable[[], None]:
    """Have more of everything, and more cases than a page has."""

    def fill() -> None:
        for _ in range(4):
            with sessions.begin() as session:
                have_more(session, tenant, ids)

    return fill


def test_every_page_asks_the_database_as_often_however_much_there_is(
    app: APIFlask, admin: Visitor, ids: Ids, fill: Callable[[], None], statements: list[str]
) -> None:
    def costs() -> dict[str, int]:
        found = {}
        for endpoint, path in pages(app, ids).items():
            statements.clear()
            answer = admin.get(path)
            assert (answer.status_code, answer.mimetype) == (200, "text/html"), path
            # That somebody was here is written once a minute, whatever they open.
            found[endpoint] = sum(not one.startswith("UPDATE sign_ins") for one in statements)
        return found

    fill()
    few = costs()
    fill()

    assert costs() == few
    assert few == BUDGETS
