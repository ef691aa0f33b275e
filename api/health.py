# SPDX-License-Identifier: Apache-2.0
"""Whether this process lives, and whether all it needs is there."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from apiflask import APIBlueprint
from flask import Response
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from api.errors import problem
from api.orders import find_usual
from api.parts import Parts, parts
from api.schemas.service import HealthJSON
from db.pauses import all_paused
from db.queue import check_flow
from db.schema import check_migrated
from hilum import __version__
from hilum.catalogue import CT_LESIONS
from hilum.errors import HilumError
from hilum.storage import check_free

health = APIBlueprint("health", __name__, url_prefix="/health", tag="Health")

log = structlog.get_logger(__name__)


def _check_disk(of: Parts) -> None:
    of.store.check()
    of.store.check_space()
    check_free(of.settings.spool_dir, needed=0, min_free_mb=of.settings.min_free_mb)


def _check_network(of: Parts) -> None:
    find_usual(of.settings, CT_LESIONS)


def _is_paused(of: Parts) -> bool:
    with of.sessions.begin() as session:
        return bool(session.scalar(select(all_paused())))


def _check_workers(of: Parts) -> None:
    # Not whether they answer a ping: one that consumes nothing answers, too.
    with of.sessions.begin() as session:
        check_flow(session, stall_s=of.settings.stall_s)


CHECKS: Final[Mapping[str, Callable[[Parts], None]]] = {
    "database": lambda of: check_migrated(of.engine),
    "queue": lambda of: of.bell.check(),
    "disk": _check_disk,
    "network": _check_network,
}
"""What must be there for an upload to be taken; each raises what is wrong."""


@health.get("/live")
@health.output(HealthJSON)
def live() -> dict[str, Any]:
    """Tell that the process answers."""
    return {"status": "ok", "version": __version__}


@health.get("/ready")
@health.output(HealthJSON)
@health.doc(responses={503: "Something that an upload needs is missing."})
def ready() -> dict[str, Any] | Response:
    """Tell whether studies can be taken and are worked on.

    Database and migrations, queue, disk, network; and that no job waits which nobody takes.
    """
    troubles = find_troubles(parts())
    if not troubles:
        return {"status": "ok", "version": __version__, "paused": _is_paused(parts())}
    log.warning("health.not_ready", **troubles)
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        code="not_ready",
        title="Something that an upload needs is missing.",
        detail=" ".join(f"{name}: {trouble}" for name, trouble in troubles.items()),
        fields={name: [trouble] for name, trouble in troubles.items()},
    )


def find_troubles(of: Parts) -> dict[str, str]:
    """Return what is wrong, by the name of the part; empty when nothing is."""
    found = {name: _trouble(check, of) for name, check in CHECKS.items()}
    if not found["database"]:
        found["workers"] = _trouble(_check_workers, of)
    return {name: trouble for name, trouble in found.items() if trouble}


def _trouble(check: Callable[[Parts], None], of: Parts) -> str:
    try:
        check(of)
    except HilumError as error:
        return error.message
    except SQLAlchemyError:
        # The driver's message names hosts and users.
        return "The database does not answer."
    return ""
