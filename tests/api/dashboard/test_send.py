"""Sending a study from a page: who may, for which hospital, and what is answered."""

import re

import pytest
from sqlalchemy import select

from db.session import Sessions
from db.tables import AuditRow, JobRow, TenantRow
from db.tenants import add_tenant
from hilum.audit import Action
from tests.api.dashboard.visitor import Visitor, words

PIECE = "application/offset+octet-stream"


def send(
    visitor: Visitor, study: bytes, hospital: object, *, token: str | None = None
) -> tuple[int, str | None, str]:
    """Send a study in one piece as the script of the page does; return status, job and body."""
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(study)),
        "Hilum-Tenant": str(hospital),
        "X-Form-Token": visitor.token() if token is None else token,
    }
    answer = visitor.client.post("/v1/uploads", data=study, headers=headers, content_type=PIECE)
    job = answer.headers.get("Hilum-Job")
    return answer.status_code, job and job.rpartition("/")[2], answer.text


@pytest.mark.parametrize(
    "path", ["/send", "/admin/keys", "/admin/webhooks", "/admin/destinations", "/admin/retention"]
)
def test_hospital_is_chosen_where_there_are_several(
    admin: Visitor, sessions: Sessions, tenant: TenantRow, path: str
) -> None:
    def first() -> str:
        form = re.search(r'<select[^>]* name="tenant" required>\s*<option value="([^"]*)"', page())
        assert form
        return form[1]

    def page() -> str:
        return admin.get(path).text

    assert first() == str(tenant.id)
    with sessions.begin() as session:
        add_tenant(session, "another")
    assert first() == ""


def test_page_offers_the_hospitals_of_the_sender_alone(
    reader: Visitor, admin: Visitor, tenant: TenantRow, elsewhere: TenantRow
) -> None:
    own, every = reader.get("/send"), admin.get("/send")

    assert str(tenant.id) in own.text
    assert str(elsewhere.id) not in own.text
    assert str(elsewhere.id) in every.text


def test_study_that_is_sent_by_page_becomes_a_case(
    operator: Visitor, archive: bytes, tenant: TenantRow, sessions: Sessions
) -> None:
    status, job_id, _ = send(operator, archive, tenant.id)

    assert status == 201
    with sessions.begin() as session:
        job = session.scalars(select(JobRow)).one()
        sent = session.scalars(select(AuditRow).where(AuditRow.action == Action.STUDY_SENT)).one()
    assert (str(job.id), job.tenant_id) == (job_id, tenant.id)
    assert (sent.by, sent.subject) == ("user otto.operator", job_id)
    answer = operator.get(f"/send/{job_id}")
    assert "Taken: Read the original axial CT" in words(answer)
    assert f"/cases/{job_id}" in answer.text


def test_nobody_sends_for_another_hospital(
    operator: Visitor, archive: bytes, elsewhere: TenantRow, sessions: Sessions
) -> None:
    status, job_id, said = send(operator, archive, elsewhere.id)

    assert (status, job_id) == (403, None)
    assert "not_permitted" in said
    with sessions.begin() as session:
        assert session.scalars(select(JobRow)).all() == []


@pytest.mark.parametrize("hospital", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_sender_names_a_hospital(operator: Visitor, archive: bytes, hospital: str) -> None:
    status, _, _ = send(operator, archive, hospital)

    assert status in {403, 422}


def test_page_of_another_site_cannot_send(
    operator: Visitor, archive: bytes, tenant: TenantRow
) -> None:
    status, _, said = send(operator, archive, tenant.id, token="0" * 64)

    assert status == 403
    assert "foreign_form" in said


def test_nobody_sends_without_signing_in(
    nobody: Visitor, archive: bytes, tenant: TenantRow
) -> None:
    status, _, said = send(nobody, archive, tenant.id, token="")

    assert status == 401
    assert "missing_key" in said


def test_what_is_refused_is_explained_at_once(operator: Visitor, tenant: TenantRow) -> None:
    status, job_id, said = send(operator, b"no study at all", tenant.id)

    assert (status, job_id) == (422, None)
    assert re.search(r'"code": ?"not_a_zip"', said)


def test_answer_to_another_hospital_s_study_is_not_there(outsider: Visitor, finished: str) -> None:
    assert outsider.get(f"/send/{finished}").status_code == 404
