# SPDX-License-Identifier: Apache-2.0
"""One job from claim to outcome; whatever happens, its row says so."""

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from db.claims import Claim, claim_job, finish_job
from db.studies import instance_keys
from hilum.catalogue import pipeline_card
from hilum.dicom.read import read_study
from hilum.findings import Analysis
from hilum.jobs import Progress
from worker.artifacts import clear_other_attempts, write_artifacts
from worker.bench import Bench
from worker.hold import holding
from worker.outcome import outcome_recorded

log = structlog.get_logger(__name__)


def run(job_id: UUID, bench: Bench) -> Claim | None:
    """Run one job; return the claim it ran under, None when it was not to be taken."""
    claim = _take(job_id, bench)
    if claim is None:
        log.info("job.not_taken", job_id=str(job_id))
        return None
    with bound_contextvars(job_id=str(job_id), attempt=claim.attempt):
        log.info("job.taken", pipeline=claim.pipeline, network=claim.network)
        with outcome_recorded(claim, bench):
            _attempt(claim, bench)
        clear_other_attempts(claim, bench.store)
    return claim


def _take(job_id: UUID, bench: Bench) -> Claim | None:
    settings = bench.settings
    with bench.sessions.begin() as session:
        return claim_job(
            session,
            job_id,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            lease_s=settings.lease_s,
            max_attempts=settings.max_attempts,
        )


def _attempt(claim: Claim, bench: Bench) -> None:
    with holding(claim, bench.sessions, lease_s=bench.settings.lease_s) as progress:
        analysis = _analyse(claim, bench, progress)
        analysis, artifacts = write_artifacts(analysis, claim, bench.store, progress)
    with bench.sessions.begin() as session:
        finish_job(session, claim, analysis.report, artifacts)
    log.info("job.succeeded", seconds=round(sum(analysis.report.timings_s.values()), 2))


def _analyse(claim: Claim, bench: Bench, progress: Progress) -> Analysis:
    segmenter = bench.networks(claim.network)
    with bench.sessions.begin() as session:
        keys = [row.key for row in instance_keys(session, claim.study_id)]
    bench.settings.spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="job-", dir=bench.settings.spool_dir) as scratch:
        study = read_study(bench.store.local_files(keys, Path(scratch)))
        card = pipeline_card(claim.pipeline)
        return bench.analyse(study, card, segmenter, progress=progress)
