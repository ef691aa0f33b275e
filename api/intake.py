# SPDX-License-Identifier: Apache-2.0
"""The one way in: whichever door the files came through, they become a study and a job here.

Nothing is refused here but what no pipeline could ever read; what is wrong with the slices of a
series is the worker's to say, so that the study is kept and the job explains.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from api.confidential import Cleared, cleared
from api.orders import Order
from api.parts import Parts
from api.spool import SpooledFile
from db.admission import check_bytes, check_jobs, check_queue
from db.batches import check_open, join_batch
from db.estimates import keep_estimates
from db.jobs import check_same, repeated_job, submit_job
from db.outlook import Outlook
from db.studies import add_study, find_study
from db.tables import JobRow
from db.writings import begin_writing, end_writing
from hilum.dicom.attributes import Attributes, read_attributes
from hilum.dicom.identity import content_digest
from hilum.dicom.quality import score_series
from hilum.dicom.read import read_study
from hilum.dicom.selection import choose_ct_series
from hilum.dicom.uids import as_name
from hilum.errors import SeriesError
from hilum.places import study_folder
from hilum.storage import StoredFile, StudyStore
from hilum.study import Instance, Series, Study

log = structlog.get_logger(__name__)


T = TypeVar("T")

Act = Callable[[Session, UUID], T]
"""What is done with a study, by its id, in the transaction that finds or remembers it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study that lies in the spool.

    Attributes:
        study: its headers; no instance is there twice.
        files: its files by path.
        content_sha256: hash over the sorted hashes of what its instances say: the same through any
            door, in any order.
        deidentification: what was done to it beforehand; None where it is as it came.
    """

    study: Study
    files: Mapping[Path, SpooledFile]
    content_sha256: str
    deidentification: dict[str, Any] | None = None

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())


def check_orderable(order: Order, parts: Parts) -> None:
    """Make sure of what is known before a study is there: its network, and the batch it joins.

    Raises:
        UnknownNetwork, BrokenWeights, NetworkAbsent, MissingSetting: the network is not there.
        UnknownBatch, BatchClosed: no study joins the batch.
    """
    order.find_network()
    if order.batch_id is not None:
        with parts.sessions.begin() as session:
            check_open(session, order.tenant_id, order.batch_id)


def take_in(files: Sequence[SpooledFile], order: Order, parts: Parts) -> JobRow:
    """Keep the study that files hold and queue a job for it; return the job there is otherwise.

    Raises:
        NoDicom, MixedStudies, NoCtSeries: there is no study in the files that could be read.
        IdempotencyConflict: the idempotency key was used for another study.
        NotDeidentifiable, BurnedInText: the hospital keeps no patients here, and of these files
            nothing would be left.
        QuotaExceeded, QueueOverloaded: there is no room for another job or study; nothing was kept.
        StorageFull: the disk is nearly full; nothing was kept.
    """
    with cleared(files, order.tenant_id, parts) as all_clear:
        return accept(all_clear, order, parts)


def accept(all_clear: Cleared, order: Order, parts: Parts, *, is_promised: bool = False) -> JobRow:
    """Do as `take_in` does with files that may be kept.

    Args:
        all_clear: the files.
        order: what is to be done.
        parts: of this process.
        is_promised: whoever sent them was told that they are safe: it is too late to say that
            there is no room for their bytes.
    """
    arrival = _look_at(all_clear.files, all_clear.account)
    slice_count = _slice_count(arrival.study)

    def order_it(session: Session, study_id: UUID) -> tuple[JobRow, Outlook | None]:
        return submit(session, order, study_id, slice_count)

    def make_room(session: Session) -> None:
        admit(session, order)
        if not is_promised:
            check_bytes(session, order.tenant_id, more=arrival.size)

    job, outlook = _remember(arrival, order.tenant_id, parts, order_it, make_room)
    _log(arrival, job_id=str(job.id), is_new=outlook is not None)
    if outlook is not None:
        parts.bell.ring()
    return job


def keep(all_clear: Cleared, tenant_id: UUID, parts: Parts) -> UUID:
    """Keep the study that files hold although no pipeline reads it; return its id.

    Raises:
        NoDicom, MixedStudies: the files are no study.
        StorageFull: the disk is nearly full; nothing was kept.
    """
    arrival = _look_at(all_clear.files, all_clear.account)
    study_id = _remember(
        arrival, tenant_id, parts, lambda _session, study_id: study_id, lambda _session: None
    )
    _log(arrival, study_id=str(study_id))
    return study_id


def _log(arrival: Arrival, **more: Any) -> None:
    uid, count = arrival.study.study_uid, len(arrival.files)
    log.info("study.received", study_uid=uid, instances=count, **more)


def check_repeat(job: JobRow, order: Order) -> None:
    """Make sure that an order is the one that the job of its idempotency key was made for.

    Raises:
        IdempotencyConflict: it asks for another pipeline or network.
    """
    # A client that lost its answer sends the same study, and nobody need unpack it again.
    check_same(
        job,
        study_id=job.study_id,
        pipeline=order.pipeline,
        network_asked=order.network_asked,
    )


def admit(session: Session, order: Order, jobs: int = 1) -> None:
    """Make sure that there is room for the new jobs of an order.

    Raises:
        QueueOverloaded: the queue is too old to take more that is not urgent.
        TooManyJobs: the hospital has as many under way as it may have.
    """
    check_queue(session, order.priority, max_age_s=order.settings.max_queue_age_s)
    check_jobs(session, order.tenant_id, more=jobs)


def submit(
    session: Session, order: Order, study_id: UUID, slice_count: int
) -> tuple[JobRow, Outlook | None]:
    """Queue what an order asks for, in its batch; return the job, and where it is new what awaits it.

    Raises:
        IdempotencyConflict: the idempotency key was used for another request.
        UnknownNetwork, BrokenWeights, NetworkAbsent, MissingSetting: the job would be new, and its
            network is not there.
        QuotaExceeded, QueueOverloaded: it would be new, and there is no room for it.
        UnknownBatch, BatchClosed: no study joins its batch.
    """
    job, outlook = _submit(session, order, study_id, slice_count)
    if order.batch_id is not None:
        join_batch(session, order.tenant_id, order.batch_id, job.id)
    return job, outlook


def _submit(
    session: Session, order: Order, study_id: UUID, slice_count: int
) -> tuple[JobRow, Outlook | None]:
    repeated = repeated_job(
        session,
        order.tenant_id,
        order.idempotency_key,
        study_id=study_id,
        pipeline=order.pipeline,
        network_asked=order.network_asked,
    )
    if repeated is not None:
        return repeated, None
    job, is_new = submit_job(
        session,
        tenant_id=order.tenant_id,
        study_id=study_id,
        pipeline=order.pipeline,
        network=order.find_network(),
        network_asked=order.network_asked,
        priority=order.priority,
        slice_count=slice_count,
        idempotency_key=order.idempotency_key,
        callback_url=order.callback_url,
        request_id=get_contextvars().get("request_id"),
        admit=lambda: admit(session, order),
    )
    return job, keep_estimates(session, [job]).outlook(job) if is_new else None


def _look_at(files: Sequence[SpooledFile], account: dict[str, Any] | None = None) -> Arrival:
    by_path = {file.path: file for file in files}
    study = read_study(by_path)
    digests = {one.path: content_digest(one.path) for one in _instances(study)}
    study = _each_once(study, digests)
    kept = {one.path: by_path[one.path] for one in _instances(study)}
    content = "".join(sorted(digests[path] for path in kept))
    content_sha256 = hashlib.sha256(content.encode()).hexdigest()
    return Arrival(study, kept, content_sha256, account)


def _slice_count(study: Study) -> int:
    try:
        chosen = choose_ct_series(study).series
    except SeriesError:
        # There is a CT that cannot be read: the job will fail by name, and the study is kept.
        chosen = max(study.series, key=lambda series: len(series.instances))
    return len(chosen.instances)


def _each_once(study: Study, digests: Mapping[Path, str]) -> Study:
    """Return the study without copies; a UID that two different files claim is kept for both."""
    seen: dict[str, set[str]] = {}
    return replace(
        study,
        series=tuple(
            replace(series, instances=tuple(_first_of_each(series, digests, seen)))
            for series in study.series
        ),
    )


def _first_of_each(
    series: Series, digests: Mapping[Path, str], seen: dict[str, set[str]]
) -> Iterable[Instance]:
    for instance in series.instances:
        uid, digest = instance.sop_instance_uid, digests[instance.path]
        others = seen.setdefault(uid, set())
        if digest in others:
            continue
        # The second bearer of a UID gets a name of its own, or one of the two would be lost.
        yield replace(instance, sop_instance_uid=f"{uid}.{digest[:12]}") if others else instance
        others.add(digest)


def _remember(
    arrival: Arrival,
    tenant_id: UUID,
    parts: Parts,
    act: Act[T],
    make_room: Callable[[Session], None],
) -> T:
    """Act on the study that is kept already, else make sure that there is room and keep it first."""
    with parts.sessions.begin() as session:
        row = find_study(session, tenant_id, arrival.content_sha256)
        if row is not None:
            return act(session, row.id)
        make_room(session)
    return _keep(arrival, tenant_id, parts, act)


def _keep(arrival: Arrival, tenant_id: UUID, parts: Parts, act: Act[T]) -> T:
    study_id = uuid4()
    prefix = study_folder(tenant_id, arrival.study.study_uid, study_id)
    sheets, attributes = score_series(arrival.study), _attributes(arrival.study)
    with parts.sessions.begin() as session:
        begin_writing(session, prefix)
    try:
        stored = _store(arrival, prefix, parts.store)
        with parts.sessions.begin() as session:
            row = add_study(
                session,
                study_id=study_id,
                tenant_id=tenant_id,
                study=arrival.study,
                files=stored,
                content_sha256=arrival.content_sha256,
                sheets=sheets,
                attributes=attributes,
                deidentification=arrival.deidentification,
            )
            outcome = act(session, row.id)
            if row.id == study_id:
                end_writing(session, prefix)
    except DBAPIError:
        # The commit may have been heard although its answer was not: the upkeep will know.
        raise
    except BaseException:
        _take_away(prefix, parts)
        raise
    if row.id != study_id:
        # Somebody else sent the same study at the same moment and was first.
        _take_away(prefix, parts)
    return outcome


def _take_away(prefix: str, parts: Parts) -> None:
    parts.store.delete(prefix)
    # What stays noted is taken away by the upkeep, and the trouble that led here is told.
    with suppress(DBAPIError), parts.sessions.begin() as session:
        end_writing(session, prefix)


def _attributes(study: Study) -> dict[str, Attributes]:
    return {one.sop_instance_uid: read_attributes(one.path) for one in _instances(study)}


def _store(arrival: Arrival, prefix: str, store: StudyStore) -> dict[str, StoredFile]:
    store.check_space(arrival.size)
    stored = {}
    for series in arrival.study.series:
        for instance in series.instances:
            name = f"{as_name(series.series_uid)}/{as_name(instance.sop_instance_uid)}.dcm"
            with instance.path.open("rb") as source:
                stored[instance.sop_instance_uid] = store.put(source, f"{prefix}/{name}")
    return stored


def _instances(study: Study) -> Iterable[Instance]:
    return (instance for series in study.series for instance in series.instances)
