# SPDX-License-Identifier: Apache-2.0
"""How Celery is set: every value here answers a way in which a long job on a GPU was once lost.

docs/decisions/0001-the-database-is-the-truth.md tells the whole story.
"""

from collections.abc import Mapping
from typing import Any, Final

from celery import Celery
from celery.signals import setup_logging
from kombu import Exchange, Queue

from hilum.errors import ConfigurationError
from hilum.jobs import QUEUE
from hilum.logs import configure_logs
from hilum.settings import Settings

GRACE_S: Final = 30
"""Between a job's limit, at which it is told to end, and its death; `worker.deadline` sees to both.
After as long again Celery would tell and kill it, by limits of its own."""

CONFIGURATION: Final[Mapping[str, Any]] = {
    # One list: Redis has no priorities that can be trusted, so the order is the database's.
    "task_queues": [Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE)],
    "task_default_queue": QUEUE,
    # A message is gone once its task ended, so a worker that dies does not take it along.
    "task_acks_late": True,
    # A job that kills its worker must not come back by itself: the upkeep counts its attempts.
    "task_reject_on_worker_lost": False,
    # One message at a time: what one worker hoards, another cannot run.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # Results are rows; Redis would keep copies nobody asks for.
    "task_ignore_result": True,
    "result_backend": None,
    "accept_content": ["json"],
    "task_serializer": "json",
    # One child for each GPU: forked before CUDA wakes, killable, restartable.
    "worker_pool": "prefork",
    "worker_concurrency": 1,
    # Importing and warming a network takes longer than Celery's 4 s.
    "worker_proc_alive_timeout": 120.0,
    # What native libraries leak goes with the process; loading anew costs two seconds.
    "worker_max_tasks_per_child": 200,
    # KiB. A study of 1,000 slices needs about 3 GiB; above 6 something has leaked.
    "worker_max_memory_per_child": 6 * 1024 * 1024,
    # When asked to stop, a job has this long to finish; what is left goes back to the queue.
    "worker_soft_shutdown_timeout": 30.0,
    # Redis away for a moment is no reason to stop a job: its row is held, not its message.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Would ration messages after a reconnect, and there is one at a time as it is.
    "worker_enable_prefetch_count_reduction": False,
    "broker_connection_retry_on_startup": True,
    "worker_hijack_root_logger": False,
}


def make_app(settings: Settings) -> Celery:
    """Return the Celery application, without tasks.

    Raises:
        ConfigurationError: Redis would hand a message out again while its job still runs.
    """
    soft_limit_s = settings.task_time_limit_s + GRACE_S
    hard_limit_s = soft_limit_s + GRACE_S
    if settings.visibility_timeout_s <= hard_limit_s:
        raise ConfigurationError(
            f"HILUM_VISIBILITY_TIMEOUT_S is {settings.visibility_timeout_s} s, expected more than"
            f" {hard_limit_s} s: HILUM_TASK_TIME_LIMIT_S and twice {GRACE_S} s of grace."
        )
    visible = {"visibility_timeout": settings.visibility_timeout_s}
    app = Celery("hilum", broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        CONFIGURATION,
        # Not at the same moment as ours: a second signal would break off what records the first.
        task_soft_time_limit=soft_limit_s,
        task_time_limit=hard_limit_s,
        # Celery reads it in three places, and with a shared broker the shortest one wins.
        broker_transport_options=visible,
        result_backend_transport_options=visible,
        **visible,
    )
    return app


def take_over_logs(settings: Settings) -> None:
    """Log as all of Hilum does; Celery keeps its own format to itself."""
    configure_logs(settings)
    # Celery leaves the logs alone where anybody answers this signal.
    setup_logging.connect(_answer, weak=False)


def _answer(**_: Any) -> None:
    """Do nothing."""


def visibility_timeouts(app: Celery) -> dict[str, float | None]:
    """Return the visibility timeout of each place that Celery reads it in; None where unset."""
    return {
        "broker_transport_options": app.conf.broker_transport_options.get("visibility_timeout"),
        "result_backend_transport_options": app.conf.result_backend_transport_options.get(
            "visibility_timeout"
        ),
        "visibility_timeout": app.conf.get("visibility_timeout"),
    }
