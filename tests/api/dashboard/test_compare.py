"""Two reports side by side: which may be, for whom, and what the page says."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from db.claims import finish_job
from db.session import Sessions
from db.tables import AuditRow, TenantRow
from hilum.audit import Action
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import claim, keep_study, make_report, make_study, queue_job

Scan = Callable[..., UUID]


@pytest.fixture
def scan(sessions: Sessions, tenant: TenantRow) -> Scan:
    """Scan a patient and report on it; returns the job."""

    def scan(
        day: str = "20260102",
        *,
        uid: str | None = None,
        network: str = "resnet50@4.0.0",
        share: float = 0.1,
        patient_id: str = "4711",
        tenant_id: UUID = tenant.id,
    ) -> UUID:
        with sessions.begin() as session:
            study = keep_study(session, tenant_id, make_study(uid or f"1.{uuid4().int}", date=day))
            study.patient_id = patient_id
            job = queue_job(session, tenant_id, study_id=study.id, network=network)
            finish_job(session, claim(session, job), make_report(share), [])
            return job.id

    return scan


def test_two_scans_of_a_patient_are_shown_with_the_change(reader: Visitor, scan: Scan) -> None:
    earlier, later = scan("20260102", share=0.1), scan("20260201", share=0.3)

    page = reader.get(f"/cases/{later}/compare/{earlier}")

    said = words(page)
    assert page.status_code == 200
    assert "30 days lie between the scans" in said
    assert "The verdict went from Mild to Alarming" in said
    assert "rose from 10.0 % to 30.0 %" in said
    assert "Share of both lungs 10.0 % 30.0 % +20.0 points +200 %" in said
    assert "Lesion in right lung 200 ml 600 ml +400 ml +200 %" in said
    assert "Of it consolidation 400 ml 1200 ml +800 ml +200 %" in said
    assert "Volume of both lungs 4000 ml 4000 ml +0 ml +0 %" in said
    assert "Compare with care" not in said
    first, second = (page.text.index(f"/v1/reports/{job}/montage.png") for job in (earlier, later))
    assert first < second


def test_two_networks_on_one_study_are_compared_with_a_warning(
    operator: Visitor, scan: Scan
) -> None:
    one, other = scan(uid="1.2.3"), scan(uid="1.2.3", network="resnet101@4.0.0")

    said = words(operator.get(f"/cases/{one}/compare/{other}"))

    assert "Compare with care" in said
    assert "The networks differ, resnet50@4.0.0 and resnet101@4.0.0" in said
    assert "Both are of scans of one day" in said


def test_case_lists_what_it_may_be_held_against(reader: Visitor, scan: Scan) -> None:
    one = scan("20260102", uid="1.2.3")
    by_other_network = scan("20260102", uid="1.2.3", network="resnet101@4.0.0")
    another_time = scan("20260201", share=0.3)

    page = reader.get(f"/cases/{one}")

    for other in (by_other_network, another_time):
        assert f'href="/cases/{one}/compare/{other}"' in page.text
    assert "2026-02-01, resnet50@4.0.0 Alarming CT-2 30.0 % +800 ml +20.0 points 30" in words(page)


def test_case_without_another_report_says_so(reader: Visitor, scan: Scan) -> None:
    assert "no other report of this study, and none of another" in words(
        reader.get(f"/cases/{scan()}")
    )


def test_who_may_not_know_patients_gets_no_other_study(operator: Visitor, scan: Scan) -> None:
    one, other = scan("20260102"), scan("20260201")

    assert str(other) not in operator.get(f"/cases/{one}").text
    assert operator.get(f"/cases/{one}/compare/{other}").status_code == 404


def test_reports_of_another_hospital_are_unknown(outsider: Visitor, scan: Scan) -> None:
    one, other = scan("20260102"), scan("20260201")

    assert outsider.get(f"/cases/{one}").status_code == 404
    assert outsider.get(f"/cases/{one}/compare/{other}").status_code == 404


def test_same_number_in_two_hospitals_is_two_patients(
    admin: Visitor, scan: Scan, elsewhere: TenantRow
) -> None:
    one, other = scan(), scan(tenant_id=elsewhere.id)

    assert admin.get(f"/cases/{one}/compare/{other}").status_code == 404


def test_both_views_are_audited_without_the_patient(
    reader: Visitor, scan: Scan, sessions: Sessions
) -> None:
    earlier, later = scan("20260102"), scan("20260201")

    reader.get(f"/cases/{later}/compare/{earlier}")

    with sessions.begin() as session:
        viewed = select(AuditRow).where(AuditRow.action == Action.CASE_VIEWED)
        rows = session.scalars(viewed.order_by(AuditRow.id)).all()
    assert [row.subject for row in rows] == [str(earlier), str(later)]
    assert {row.by for row in rows} == {"user rita.reader"}
    assert "4711" not in str([row.detail for row in rows])


def test_page_names_no_patient(reader: Visitor, scan: Scan) -> None:
    earlier, later = scan(patient_id="PAT-4711"), scan("20260201", patient_id="PAT-4711")

    assert "PAT-4711" not in reader.get(f"/cases/{later}/compare/{earlier}").text


@pytest.mark.parametrize("other", ["nonsense", str(UUID(int=1)), "%00", "../../admin"])
def test_made_up_report_is_unknown(reader: Visitor, scan: Scan, other: str) -> None:
    assert reader.get(f"/cases/{scan()}/compare/{other}").status_code == 404
