"""The worker under test: everything as in production, but for what its jobs compute."""

import os
import random
import time
from dataclasses import replace
from typing import Any

from hilum.errors import NotAxial, StorageFull
from hilum.findings import Analysis
from hilum.jobs import Progress, Stage
from hilum.settings import Settings
from hilum.study import Study
from tests.chaos.studies import is_poison
from tests.worker import pipelines
from worker import outcome
from worker.bench import Bench
from worker.celery import make_app, take_over_logs
from worker.tasks import add_tasks

TRANSIENT_SHARE = 0.05
BROKEN_SHARE = 0.02


def brief(study: Study, *args: Any, progress: Progress) -> Analysis:
    """Take a tenth of a second over every stage, and now and then fail like the world or the study."""
    for stage in (Stage.READING, Stage.LUNGS, Stage.SLICES, Stage.MEASURING):
        for step in range(2):
            progress(stage, step, 2)
            time.sleep(0.01)
    if is_poison(study.study_uid):
        pipelines.deadly(progress=progress)
    chance = random.random()
    if chance < TRANSIENT_SHARE:
        raise StorageFull("The disk has 3 MiB free, this needs 40 MiB.")
    if chance < TRANSIENT_SHARE + BROKEN_SHARE:
        raise NotAxial("Instance 1.2 leans 40 degrees from axial, expected at most 10.")
    return pipelines.quick(study, *args, progress=progress)


def open_bench(settings: Settings) -> Bench:
    return replace(Bench.open(settings), networks=lambda name: name, analyse=brief)  # type: ignore[arg-type, return-value] # this pipeline needs no network


# Nobody wants to wait minutes for the fourth attempt here.
outcome.RETRY_WAIT_S = 0.1  # type: ignore[misc]
settings = Settings.from_environment()
take_over_logs(settings)
app = make_app(settings)
app.conf.worker_soft_shutdown_timeout = float(os.environ.get("SOFT_SHUTDOWN_S", "2"))
add_tasks(app, settings, open_bench)
