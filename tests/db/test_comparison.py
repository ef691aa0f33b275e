from collections.abc import Callable, Iterator
from datetime import date
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from db.claims import finish_job
from db.comparison import Compared, change_of, compared, of_same_patient, of_same_study
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import StudyRow, TenantRow
from db.tenants import add_tenant
from hilum.dicom.attributes import tag_of
from hilum.errors import UnknownReport
from tests.db.factories import claim, keep_study, make_report, make_study, queue_job

NOBODY = Scope.of()

Scan = Callable[..., UUID]


@pytest.fixture
def session(sessions: Sessions) -> Iterator[Session]:
    with sessions() as session:
        yield session


@pytest.fixture
def scan(session: Session, tenant: TenantRow) -> Scan:
    """Scan a patient and report on it; returns the job."""

    def scan(
        day: str = "20260102",
        *,
        uid: str | None = None,
        patient_id: str | None = "4711",
        network: str = "resnet50@4.0.0",
        share: float = 0.1,
        tenant_id: UUID = tenant.id,
        born: str | None = None,
    ) -> UUID:
        study = keep_study(session, tenant_id, make_study(uid or f"1.{uuid4().int}", date=day))
        study.patient_id = patient_id
        if born is not None:
            study.attributes = {tag_of("PatientBirthDate"): {"vr": "DA", "Value": [born]}}
        return report_on(session, study, network, share)

    return scan


def report_on(session: Session, study: StudyRow, network: str, share: float = 0.1) -> UUID:
    job = queue_job(session, study.tenant_id, study_id=study.id, network=network)
    finish_job(session, claim(session, job), make_report(share), [])
    session.flush()
    return job.id


def jobs(found: list[Compared]) -> list[UUID]:
    return [one.job_id for one in found]


def patients_studies(session: Session, job_id: UUID, patients: Scope = EVERYTHING) -> list[UUID]:
    return jobs(of_same_patient(session, patients, compared(session, EVERYTHING, job_id)))


def test_report_is_read_with_what_is_compared(session: Session, scan: Scan) -> None:
    reading = compared(session, EVERYTHING, scan(share=0.1)).reading

    assert (reading.network, reading.pipeline) == ("resnet50@4.0.0", "ct-lesions@2.0.0")
    assert (reading.verdict, reading.grade) == ("Mild", "CT-1")
    assert reading.study_date == date(2026, 1, 2)
    assert reading.slice_mm == 5.0
    assert reading.burden["total"].lung_ml == 4000.0
    assert reading.burden["total"].by_label == {"consolidation": 400.0}


def test_same_study_by_another_network_is_found_in_any_upload(session: Session, scan: Scan) -> None:
    first = scan(uid="1.2.3")
    second = scan(uid="1.2.3", network="resnet101@4.0.0")
    scan(uid="1.2.4")

    found = of_same_study(session, EVERYTHING, compared(session, EVERYTHING, first))

    assert jobs(found) == [second]


def test_other_studies_of_a_patient_are_found_the_latest_first(
    session: Session, scan: Scan
) -> None:
    now = scan("20260301")
    later, earlier, undated = scan("20260401"), scan("20260102"), scan("")
    scan(patient_id="4712")

    assert patients_studies(session, now) == [later, earlier, undated]


def test_report_by_the_same_network_is_preferred_and_then_the_newest(
    session: Session, scan: Scan
) -> None:
    now = scan("20260301", network="resnet101@4.0.0")
    same = scan(uid="1.2.3", network="resnet101@4.0.0")
    scan(uid="1.2.3", network="resnet50@4.0.0")
    scan(uid="1.2.4", network="resnet50@3.0.0")
    newest = scan(uid="1.2.4", network="resnet50@4.0.0")

    assert set(patients_studies(session, now)) == {same, newest}


@pytest.mark.parametrize("patient_id", [None, "", "  "])
def test_study_without_a_patient_id_is_of_nobody_else(
    session: Session, scan: Scan, patient_id: str | None
) -> None:
    now = scan(patient_id=patient_id)
    scan(patient_id=patient_id)

    assert patients_studies(session, now) == []


def test_same_number_with_another_birth_date_is_somebody_else(session: Session, scan: Scan) -> None:
    now = scan(patient_id="0", born="19500101")
    scan(patient_id="0", born="19600101")
    same, unknown = scan("20250101", patient_id="0", born="19500101"), scan("", patient_id="0")

    assert patients_studies(session, now) == [same, unknown]


def test_patient_of_another_hospital_is_somebody_else(session: Session, scan: Scan) -> None:
    other = add_tenant(session, "elsewhere")
    session.flush()
    now, elsewhere = scan(), scan(tenant_id=other.id)

    assert patients_studies(session, now) == []
    with pytest.raises(UnknownReport):
        change_of(session, EVERYTHING, EVERYTHING, job_id=now, other_id=elsewhere)


def test_who_may_not_know_patients_finds_no_other_study(session: Session, scan: Scan) -> None:
    now, before = scan("20260301"), scan("20260102")

    assert patients_studies(session, now, NOBODY) == []
    with pytest.raises(UnknownReport):
        change_of(session, EVERYTHING, NOBODY, job_id=now, other_id=before)


def test_change_counts_from_the_earlier_scan_whichever_is_asked_for_first(
    session: Session, scan: Scan
) -> None:
    later, earlier = scan("20260201", share=0.3), scan("20260102", share=0.1)

    for job_id, other_id in ((later, earlier), (earlier, later)):
        before, after, change = change_of(
            session, EVERYTHING, EVERYTHING, job_id=job_id, other_id=other_id
        )

        assert (before.job_id, after.job_id) == (earlier, later)
        assert change.days == 30
        assert (change.before.grade, change.after.grade) == ("CT-1", "CT-2")
        assert change.total.lesion_ml.absolute == pytest.approx(800.0)
        assert change.total.share.relative == pytest.approx(2.0)
        assert change.warnings == ()


def test_two_networks_on_one_study_are_compared_by_who_knows_no_patient(
    session: Session, scan: Scan
) -> None:
    one, other = scan(uid="1.2.3"), scan(uid="1.2.3", network="resnet101@4.0.0")

    _, _, change = change_of(session, EVERYTHING, NOBODY, job_id=one, other_id=other)

    assert change.days == 0
    assert change.warnings[0].startswith("The networks differ")


def test_reports_of_two_patients_are_not_compared(session: Session, scan: Scan) -> None:
    one, other = scan(patient_id="1"), scan(patient_id="2")

    with pytest.raises(UnknownReport):
        change_of(session, EVERYTHING, EVERYTHING, job_id=one, other_id=other)


def test_report_is_not_compared_with_itself(session: Session, scan: Scan) -> None:
    one = scan()

    with pytest.raises(UnknownReport):
        change_of(session, EVERYTHING, EVERYTHING, job_id=one, other_id=one)


def test_report_out_of_scope_is_unknown(session: Session, scan: Scan) -> None:
    one, other = scan(uid="1.2.3"), scan(uid="1.2.3", network="resnet101@4.0.0")

    with pytest.raises(UnknownReport, match=str(one)):
        change_of(session, NOBODY, EVERYTHING, job_id=one, other_id=other)
    with pytest.raises(UnknownReport):
        compared(session, EVERYTHING, uuid4())
