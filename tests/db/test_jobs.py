from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.claims import fail_job
from db.jobs import (
    JobFilter,
    find_job_by_idempotency_key,
    job_events,
    job_for,
    list_jobs,
)
from db.pages import Page
from db.session import Sessions
from db.tables import BatchJobRow, BatchRow, TenantRow
from db.tenants import add_tenant
from hilum.catalogue import CT_LESIONS
from hilum.errors import IdempotencyConflict, UnknownJob
from hilum.jobs import Priority, State
from tests.db.factories import claim, finished_job, keep_study, queue_job


def events_of(sessions: Sessions, job_id: UUID) -> list[str]:
    with sessions.begin() as session:
        return [event.event for event in job_events(session, job_id)]


# ── Submitting ────────────────────────────────────────────────────────────────────────────────


def test_submitted_job_waits_and_says_so(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, priority=Priority.STAT)

    # The session is closed: what is not there by now would raise.
    assert (job.state, job.attempts, job.study.study_uid) == (State.QUEUED, 0, "1.2.840.1")
    assert events_of(sessions, job.id) == ["submitted"]


def test_same_study_again_is_the_same_job(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        first = queue_job(session, tenant.id, study_id=study.id)
        again = queue_job(session, tenant.id, study_id=study.id, priority=Priority.STAT)
        other = queue_job(session, tenant.id, study_id=study.id, network="resnet101")

    assert again.id == first.id
    assert other.id != first.id


def test_same_idempotency_key_is_the_same_job(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        first = queue_job(session, tenant.id, study_id=study.id, idempotency_key="K1")
        fail_job(session, claim(session, first), "not_axial", "No.")
        # The key stands for the one request, whatever became of it.
        again = queue_job(session, tenant.id, study_id=study.id, idempotency_key="K1")
        found = find_job_by_idempotency_key(session, tenant.id, "K1")

    assert again.id == first.id
    assert found is not None
    assert found.id == first.id


def test_same_study_by_another_version_of_a_network_is_another_job(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        first = queue_job(session, tenant.id, study_id=study.id, network="ward@1.0.0")

        second = queue_job(session, tenant.id, study_id=study.id, network="ward@1.1.0")

    assert second.id != first.id


def test_same_study_after_the_pipeline_changed_is_another_job(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        old = finished_job(session, tenant.id, study_id=study.id)
        session.execute(text("UPDATE jobs SET pipeline_version = '0.9'"))

        new = queue_job(session, tenant.id, study_id=study.id)
        again = queue_job(session, tenant.id, study_id=study.id)

    assert new.pipeline_version == CT_LESIONS.version
    assert new.id != old.id
    assert again.id == new.id


def test_idempotency_key_outlives_the_arrival_of_a_newer_version(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        order = {"study_id": study.id, "idempotency_key": "K1"}
        first = queue_job(session, tenant.id, network="ward@1.0.0", **order)

        again = [
            queue_job(session, tenant.id, network="ward@1.1.0", network_asked=asked, **order)
            for asked in ("ward", "ward@1.0.0", None)
        ]
        with pytest.raises(IdempotencyConflict, match=r"ward@1\.0\.0.*found.*ward@1\.1\.0"):
            queue_job(session, tenant.id, network_asked="ward@1.1.0", **order)

    assert {job.id for job in again} == {first.id}


def test_idempotency_key_for_another_study_is_a_conflict(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        first = queue_job(session, tenant.id, idempotency_key="K1")

        with pytest.raises(IdempotencyConflict, match=str(first.id)):
            queue_job(session, tenant.id, idempotency_key="K1")


def test_idempotency_keys_of_two_tenants_have_nothing_to_do_with_each_other(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")

        jobs = {queue_job(session, one.id, idempotency_key="K1").id for one in (tenant, other)}

        assert len(jobs) == 2
        assert find_job_by_idempotency_key(session, uuid4(), "K1") is None


def test_study_that_failed_can_be_sent_again(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)
        first = queue_job(session, tenant.id, study_id=study.id)
        fail_job(session, claim(session, first), "internal_error", "It broke.")

        again = queue_job(session, tenant.id, study_id=study.id)

    assert again.id != first.id


@pytest.mark.parametrize("key", ["K1", None])
def test_many_callers_at_once_get_one_job(
    key: str | None, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)

    def submit(_: int) -> UUID:
        with sessions.begin() as session:
            return queue_job(session, tenant.id, study_id=study.id, idempotency_key=key).id

    with ThreadPoolExecutor(5) as pool:
        ids = set(pool.map(submit, range(10)))

    assert len(ids) == 1
    assert events_of(sessions, ids.pop()) == ["submitted"]


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def test_job_of_another_tenant_is_as_unknown_as_none(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = queue_job(session, add_tenant(session, "charite").id)

        for job_id in (other.id, uuid4()):
            with pytest.raises(UnknownJob, match=str(job_id)):
                job_for(session, tenant.id, job_id)
        assert list_jobs(session, tenant.id, JobFilter(), Page()).rows == []


def test_list_is_narrowed_by_each_field(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        one = queue_job(session, tenant.id, network="resnet101@2.0.0", priority=Priority.STAT)
        fail_job(session, claim(session, one), "not_axial", "No.")
        batch = BatchRow(tenant_id=tenant.id)
        session.add(batch)
        session.flush()
        session.add(BatchJobRow(batch_id=batch.id, job_id=one.id))
        filters = [
            JobFilter(state=State.FAILED),
            JobFilter(priority=Priority.STAT),
            JobFilter(network="resnet101"),
            JobFilter(network="resnet101@2.0.0"),
            JobFilter(study_id=one.study_id),
            JobFilter(batch_id=batch.id),
            JobFilter(error_code="not_axial"),
            JobFilter(since=one.created_at),
        ]

        found = [list_jobs(session, tenant.id, chosen, Page()).rows for chosen in filters]
        before = list_jobs(session, tenant.id, JobFilter(until=one.created_at), Page()).rows
        none = list_jobs(session, tenant.id, JobFilter(pipeline="cxr-covid"), Page()).rows

    assert all([job.id for job in jobs] == [one.id] for jobs in found)
    assert one.id not in {job.id for job in before}
    assert none == []
