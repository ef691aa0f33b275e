from uuid import uuid4

import pytest
from sqlalchemy import select

from db.claims import finish_job
from db.pages import Page
from db.reports import (
    ReportFilter,
    artifact_for,
    iterate_reports,
    list_reports,
    report_for,
)
from db.session import Sessions
from db.tables import FindingRow, TenantRow
from db.tenants import add_tenant
from hilum.errors import ReportNotReady, UnknownJob
from hilum.grading import Grade, Verdict
from tests.db.factories import claim, finished_job, make_artifact, make_report, queue_job


def test_report_is_kept_whole_and_in_columns(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = finished_job(session, tenant.id, share=0.3)

    with sessions.begin() as session:
        row = report_for(session, tenant.id, job.id)
        finding = session.scalars(select(FindingRow)).one()

    assert (row.verdict, row.grade, row.review) == ("Alarming", "CT-2", True)
    assert (row.lesion_share, row.lesion_ml) == pytest.approx((0.3, 1200.0))
    assert (row.network, row.document["network"]["name"]) == ("resnet50", "maskrcnn-resnet50")
    assert row.seconds_per_slice == pytest.approx(2.0)
    assert row.document["total"]["share"] == pytest.approx(0.3)
    assert row.study.study_uid == "1.2.840.1"
    assert (finding.box, finding.volume_ml) == ([[3, 10, 10], [6, 40, 40]], 12.5)


def test_report_of_another_tenant_is_as_unknown_as_none(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = finished_job(session, add_tenant(session, "charite").id)

        for job_id in (other.id, uuid4()):
            with pytest.raises(UnknownJob, match=str(job_id)):
                report_for(session, tenant.id, job_id)
            with pytest.raises(UnknownJob, match=str(job_id)):
                artifact_for(session, tenant.id, job_id, "masks")
        assert list_reports(session, tenant.id, ReportFilter(), Page()).rows == []


def test_report_of_a_job_that_waits_is_not_ready(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        with pytest.raises(ReportNotReady, match="is queued"):
            report_for(session, tenant.id, job.id)
        with pytest.raises(ReportNotReady, match="is queued"):
            artifact_for(session, tenant.id, job.id, "masks")


def test_artifact_is_found_by_its_kind(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        files = [make_artifact(job, kind) for kind in ("masks", "montage")]
        finish_job(session, claim(session, job), make_report(), files)

        found = artifact_for(session, tenant.id, job.id, "montage")

    assert found.key == files[1].file.key


def test_list_is_narrowed_by_each_field(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for share in (0.0, 0.1, 0.6):
            finished_job(session, tenant.id, share=share)
    asked = {
        ReportFilter(verdict=Verdict.ALARMING): [0.6],
        ReportFilter(grade=Grade.CT_1): [0.1],
        ReportFilter(review=False): [0.0, 0.1, 0.6],
        ReportFilter(share_from=0.05, share_to=0.2): [0.1],
        ReportFilter(network="resnet101"): [],
        ReportFilter(network="resnet5"): [],
        ReportFilter(pipeline="ct-lesions", study_uid="1.2.840.1"): [0.0, 0.1, 0.6],
        ReportFilter(study_uid="1.2.840.2"): [],
    }

    found = {
        chosen: [
            row.lesion_share for row in iterate_reports(sessions, tenant.id, chosen, "lesion_share")
        ]
        for chosen in asked
    }

    assert found == {chosen: pytest.approx(shares) for chosen, shares in asked.items()}


def test_list_can_begin_with_the_worst(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for share in (0.1, 0.6, 0.3):
            finished_job(session, tenant.id, share=share)

        listing = list_reports(session, tenant.id, ReportFilter(), Page(None, 2, "-lesion_share"))

    assert [row.lesion_share for row in listing.rows] == pytest.approx([0.6, 0.3])
