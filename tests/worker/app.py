"""A worker's application as `worker.app` makes it, but for what its jobs compute."""

import os
import time
from dataclasses import replace
from typing import Any

from hilum import catalogue
from hilum.settings import Settings
from tests.worker.pipelines import by_name
from worker import artifacts, deadline
from worker.bench import Bench
from worker.celery import make_app, take_over_logs
from worker.tasks import add_tasks


def open_bench(settings: Settings) -> Bench:
    return replace(Bench.open(settings), networks=lambda name: name, analyse=by_name)  # type: ignore[arg-type, return-value] # the name is all these pipelines need


if "PIPELINE_LIMIT_S" in os.environ:
    card = replace(catalogue.CT_LESIONS, time_limit_s=int(os.environ["PIPELINE_LIMIT_S"]))
    catalogue.PIPELINES = {card.name: card}  # type: ignore[misc] # the worker's own catalogue is final
deadline.GRACE_S = float(os.environ.get("GRACE_S", "30"))  # type: ignore[misc, assignment] # likewise

if "WRITE_S" in os.environ:
    write = artifacts._write

    def write_slowly(*args: Any) -> Any:
        time.sleep(float(os.environ["WRITE_S"]))
        return write(*args)

    artifacts._write = write_slowly

settings = Settings.from_environment()
take_over_logs(settings)
app = make_app(settings)
app.conf.worker_soft_shutdown_timeout = float(os.environ.get("SOFT_SHUTDOWN_S", "30"))
add_tasks(app, settings, open_bench)
