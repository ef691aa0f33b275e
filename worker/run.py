# SPDX-License-Identifier: Apache-2.0
"""One job from its turn to its outcome; whatever happens, its row says so."""

import os
import socket
import time
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Final

import structlog
from sqlalchemy import select
from structlog.contextvars import bound_contextvars

from db.claims import Claim, finish_job
from db.drains import is_drained
from db.estimates import estimate_of
from db.studies import instance_keys
from db.thresholds import current_thresholds
from db.turns import Rules, count_due, take_turn
from hilum.catalogue import pipeline_card
from hilum.dicom.read import read_study
from hilum.errors import FilesGone, StorageFull
from hilum.findings import Analysis
from hilum.jobs import MOST_RINGS, Progress
from hilum.storage import StudyStore
from worker.artifacts import write_artifacts
from worker.bench import Bench
from worker.deadline import time_limit_s, within
from worker.doorbell import Doorbell
from worker.hold import holding
from worker.outcome import fail_deaf, outcome_recorded
from worker.scratch import scratch_folder

BURST_S: Final = 1.0
"""A message is good for as many jobs as begin within so long; what Celery does for each is not free."""

HELD_S: Final = 1.0
"""Before the next look at a disk that is full, and before a message goes to another worker."""

log = structlog.get_logger(__name__)


def run_next(bench: Bench, bell: Doorbell) -> None:
    """Run the job whose turn it is, and short ones after it; see to it that the next is heard of."""
    over = time.monotonic() + BURST_S
    while (claim := take(bench)) is not None:
        run(claim, bench)
        if time.monotonic() > over:
            break
    else:
        if not _rests(bench):
            # More messages than jobs do no harm.
            return
        # It is for another worker; the ones that listen meanwhile are before this one.
        time.sleep(HELD_S)
    with bench.sessions.begin() as session:
        due = count_due(session, most=MOST_RINGS)
    # In place of the message that was spent: there need not be one for each job that waits.
    bell.ring_for(due, most=1)


def run(claim: Claim, bench: Bench) -> None:
    """Run a job that was taken."""
    known = {"job_id": claim.job_id, "tenant_id": claim.tenant_id, "request_id": claim.request_id}
    named = {name: str(value) for name, value in known.items() if value}
    with bound_contextvars(**named, attempt=claim.attempt), bench.at_work(claim):
        log.info("job.taken", pipeline=claim.pipeline, network=claim.network)
        with outcome_recorded(claim, bench):
            _attempt(claim, bench)


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _rests(bench: Bench) -> bool:
    """Tell whether somebody asked this worker to take no more jobs."""
    with bench.sessions.begin() as session:
        return bool(session.scalar(select(is_drained(_process()))))


def _has_room(bench: Bench) -> bool:
    """Tell whether the disk takes results; one that is full would cost every job its attempts."""
    try:
        bench.store.check_space()
    except StorageFull as error:
        log.warning("queue.held", reason=error.message)
        return False
    return True


def take(bench: Bench) -> Claim | None:
    """Take the job whose turn it is; None where none is to be taken."""
    if not _has_room(bench):
        # The message is spent; the upkeep rings again, and one that waits is answered then.
        time.sleep(HELD_S)
        return None
    settings = bench.settings
    rules = Rules(settings.ageing_s, settings.stat_share)
    with bench.sessions.begin() as session:
        return take_turn(
            session,
            rules,
            worker=_process(),
            lease_s=settings.lease_s,
            max_attempts=settings.max_attempts,
        )


def _attempt(claim: Claim, bench: Bench) -> None:
    limit_s = time_limit_s(claim.pipeline, bench.settings)
    with (
        holding(claim, bench.sessions, lease_s=bench.settings.lease_s) as report,
        within(limit_s, report, partial(fail_deaf, claim, bench, get_ident())) as progress,
    ):
        analysis = _analyse(claim, bench, progress)
        analysis, artifacts = write_artifacts(analysis, claim, bench.store, progress)
    with bench.sessions.begin() as session:
        finish_job(session, claim, analysis.report, artifacts)
        estimate = estimate_of(session, claim.job_id)
    log.info("job.succeeded", seconds=round(sum(analysis.report.timings_s.values()), 2))
    if estimate is not None:
        log.info("job.estimated", **estimate.rounded())


def _analyse(claim: Claim, bench: Bench, progress: Progress) -> Analysis:
    segmenter = bench.networks(claim.network)
    with bench.sessions.begin() as session:
        keys = [row.key for row in instance_keys(session, claim.study_id)]
        thresholds = current_thresholds(session)
    with scratch_folder(bench.settings.spool_dir) as scratch:
        study = read_study(_kept_files(keys, scratch, bench.store))
        card = pipeline_card(claim.pipeline)
        return bench.analyse(study, card, segmenter, thresholds, progress=progress)


def _kept_files(keys: list[str], scratch: Path, store: StudyStore) -> list[Path]:
    """Return paths of a study's files on this machine.

    Raises:
        FilesGone: one of them is no longer there.
    """
    try:
        return store.kept_files(keys, scratch)
    except FileNotFoundError as error:
        raise FilesGone(
            f"Files of the study are no longer stored, expected all {len(keys)}."
        ) from error
