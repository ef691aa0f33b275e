# SPDX-License-Identifier: Apache-2.0
"""The clock as Celery starts it: `celery --app worker.beat beat`; it loads no torch."""

from hilum.settings import Settings
from worker.celery import make_app, take_over_logs

settings = Settings.from_environment()
take_over_logs(settings)
app = make_app(settings)
