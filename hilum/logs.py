# SPDX-License-Identifier: Apache-2.0
"""Logs as one JSON object a line, on stderr, without what could name a patient."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from hilum.errors import MissingSetting
from hilum.frames import frames_of
from hilum.settings import Settings

TALKATIVE = (
    "alembic.runtime.migration",
    "celery.app.trace",
    "celery.worker.strategy",
    "pynetdicom",
)
"""Libraries that announce every routine step; what they warn of is still heard."""


def configure_logs(settings: Settings) -> None:
    """Send the logs of this process, libraries' too, to stderr as JSON.

    Raises:
        MissingSetting: there is no such level.
    """
    level = logging.getLevelNamesMapping().get(settings.log_level.upper())
    if level is None:
        raise MissingSetting(
            f"HILUM_LOG_LEVEL: found {settings.log_level!r}, expected DEBUG, INFO, WARNING or ERROR."
        )
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def describe_crash(error: BaseException) -> dict[str, Any]:
    """Return where an error arose, and from which others, for a log line and a job's event.

    Messages stay out: those of libraries quote what they choked on, and that may be a name.
    """
    return {
        "error": type(error).__name__,
        "frames": frames_of(error),
        "causes": [
            {"error": type(cause).__name__, "frames": frames_of(cause)} for cause in _causes(error)
        ],
    }


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exc_info,
    ]


def _formatter() -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(default=str),
        ],
    )


def _describe_exc_info(_logger: Any, _name: str, event: EventDict) -> EventDict:
    # Libraries that log an exception, as Celery does, would print its message.
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        event.update(describe_crash(error))
    return event
