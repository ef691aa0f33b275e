# SPDX-License-Identifier: Apache-2.0
"""The one way in: whichever door the files came through, they become a study and a job here.

Nothing is refused here but what no pipeline could ever read; what is wrong with the slices of a
series is the worker's to say, so that the study is kept and the job explains.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.orders import Order
from api.parts import Parts
from api.spool import SpooledFile
from db.jobs import mark_rung, repeated_job, submit_job
from db.studies import add_study, find_study
from db.tables import JobRow
from hilum.dicom.quality import score_series
from hilum.dicom.read import read_study
from hilum.dicom.selection import choose_ct_series
from hilum.errors import SeriesError
from hilum.storage import StoredFile, StudyStore
from hilum.study import Instance, Series, Study

SAFE_NAME: Final = re.compile(r"[0-9][0-9.]{0,63}(\.[0-9a-f]{12})?")
"""A UID that may name a file: two dots alone would lead to another folder."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study that lies in the spool.

    Attributes:
        study: its headers; no instance is there twice.
        files: its files by path.
        slice_count: instances of the series that will be read.
    """

    study: Study
    files: Mapping[Path, SpooledFile]
    slice_count: int

    @property
    def content_sha256(self) -> str:
        """Hash over the sorted hashes of the instances: the same through any door, in any order."""
        hashes = sorted(self.files[instance.path].sha256 for instance in _instances(self.study))
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


def take_in(files: Sequence[SpooledFile], order: Order, parts: Parts) -> JobRow:
    """Keep the study that files hold and queue a job for it; return the job there is otherwise.

    Raises:
        NoDicom, MixedStudies, NoCtSeries: there is no study in the files that could be read.
        IdempotencyConflict: the idempotency key was used for another study.
        StorageFull: the disk is nearly full; nothing was kept.
    """
    arrival = _look_at(files)
    job, is_new = _known(arrival, order, parts) or _keep(arrival, order, parts)
    log.info(
        "study.received",
        job_id=str(job.id),
        study_uid=arrival.study.study_uid,
        instances=len(arrival.files),
        is_new=is_new,
    )
    if is_new:
        ring(job, parts)
    return job


def ring(job: JobRow, parts: Parts) -> None:
    """Tell the workers of a job that is committed, and note that they were told."""
    if parts.bell.ring(job):
        with parts.sessions.begin() as session:
            mark_rung(session, [job.id])


def submit(session: Session, order: Order, study_id: UUID, slice_count: int) -> tuple[JobRow, bool]:
    """Queue what an order asks for; return the job and whether it is new.

    Raises:
        IdempotencyConflict: the idempotency key was used for another request.
        UnknownNetwork, BrokenWeights, NetworkAbsent, MissingSetting: the job would be new, and its
            network is not there.
    """
    repeated = repeated_job(
        session,
        order.tenant_id,
        order.idempotency_key,
        study_id=study_id,
        pipeline=order.pipeline,
        network_asked=order.network_asked,
    )
    if repeated is not None:
        return repeated, False
    return submit_job(
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
    )


def _look_at(files: Sequence[SpooledFile]) -> Arrival:
    by_path = {file.path: file for file in files}
    study = _each_once(read_study(by_path), by_path)
    kept = {instance.path: by_path[instance.path] for instance in _instances(study)}
    return Arrival(study, kept, _slice_count(study))


def _slice_count(study: Study) -> int:
    try:
        chosen = choose_ct_series(study).series
    except SeriesError:
        # There is a CT that cannot be read: the job will fail by name, and the study is kept.
        chosen = max(study.series, key=lambda series: len(series.instances))
    return len(chosen.instances)


def _each_once(study: Study, files: Mapping[Path, SpooledFile]) -> Study:
    """Return the study without copies; a UID that two different files claim is kept for both."""
    seen: dict[str, set[str]] = {}
    return replace(
        study,
        series=tuple(
            replace(series, instances=tuple(_first_of_each(series, files, seen)))
            for series in study.series
        ),
    )


def _first_of_each(
    series: Series, files: Mapping[Path, SpooledFile], seen: dict[str, set[str]]
) -> Iterable[Instance]:
    for instance in series.instances:
        uid, sha256 = instance.sop_instance_uid, files[instance.path].sha256
        others = seen.setdefault(uid, set())
        if sha256 in others:
            continue
        # The second bearer of a UID gets a name of its own, or one of the two would be lost.
        yield replace(instance, sop_instance_uid=f"{uid}.{sha256[:12]}") if others else instance
        others.add(sha256)


def _known(arrival: Arrival, order: Order, parts: Parts) -> tuple[JobRow, bool] | None:
    """Return a job for a study that is kept already, and whether the job is new."""
    with parts.sessions.begin() as session:
        row = find_study(session, order.tenant_id, arrival.content_sha256)
        return submit(session, order, row.id, arrival.slice_count) if row else None


def _keep(arrival: Arrival, order: Order, parts: Parts) -> tuple[JobRow, bool]:
    study_id = uuid4()
    sheets = score_series(arrival.study)
    # Nobody knows of these keys before the commit, so they may be taken away again until then.
    prefix = f"{order.tenant_id}/studies/{as_name(arrival.study.study_uid)}/{study_id}"
    try:
        stored = _store(arrival, prefix, parts.store)
        with parts.sessions.begin() as session:
            row = add_study(
                session,
                study_id=study_id,
                tenant_id=order.tenant_id,
                study=arrival.study,
                files=stored,
                content_sha256=arrival.content_sha256,
                sheets=sheets,
            )
            outcome = submit(session, order, row.id, arrival.slice_count)
    except DBAPIError:
        # The commit may have been heard although its answer was not: files are not taken away.
        raise
    except BaseException:
        parts.store.delete(prefix)
        raise
    if row.id != study_id:
        # Somebody else sent the same study at the same moment and was first.
        parts.store.delete(prefix)
    return outcome


def _store(arrival: Arrival, prefix: str, store: StudyStore) -> dict[str, StoredFile]:
    store.check_space(sum(file.size for file in arrival.files.values()))
    stored = {}
    for series in arrival.study.series:
        for instance in series.instances:
            name = f"{as_name(series.series_uid)}/{as_name(instance.sop_instance_uid)}.dcm"
            with instance.path.open("rb") as source:
                stored[instance.sop_instance_uid] = store.put(source, f"{prefix}/{name}")
    return stored


def as_name(uid: str) -> str:
    """Return a UID as part of a key; one that could lead elsewhere becomes its hash."""
    if SAFE_NAME.fullmatch(uid):
        return uid
    return f"odd-{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


def _instances(study: Study) -> Iterable[Instance]:
    return (instance for series in study.series for instance in series.instances)
