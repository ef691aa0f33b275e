# SPDX-License-Identifier: Apache-2.0
"""A worker whose jobs compute nothing, for `benchmarks.load`: what is left is the queue's own work."""

from typing import Any

from db.claims import Claim, finish_job
from hilum.settings import Settings
from tests.db.factories import make_report
from worker import run
from worker.bench import Bench
from worker.celery import make_app, take_over_logs
from worker.tasks import add_tasks


def finish_at_once(claim: Claim, bench: Bench) -> None:
    """End a job with a report and without files."""
    with bench.sessions.begin() as session:
        finish_job(session, claim, make_report(), [])


def _no_network(_: str) -> Any:
    return None


def open_bench(settings: Settings) -> Bench:
    """Return a bench without networks."""
    whole = Bench.open(settings)
    return Bench(whole.sessions, whole.store, _no_network, settings)


run._attempt = finish_at_once  # noqa: SLF001 - the one step that takes minutes in production
settings = Settings.from_environment()
take_over_logs(settings)
app = make_app(settings)
add_tasks(app, settings, open_bench)
