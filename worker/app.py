# SPDX-License-Identifier: Apache-2.0
"""The worker as Celery starts it: `celery --app worker.app worker`."""

from hilum.settings import Settings
from worker.celery import make_app, take_over_logs
from worker.tasks import add_tasks

settings = Settings.from_environment()
take_over_logs(settings)
app = make_app(settings)
add_tasks(app, settings)
