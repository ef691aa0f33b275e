# SPDX-License-Identifier: Apache-2.0
"""Takes what is due and sends it: as many at a time as there are threads, one a destination."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from api.confidential import Treated, treat
from api.parts import Parts
from api.push import dimse, stow
from api.push.crew import Crew
from api.push.outgoing import Outgoing
from db.deliveries import DELIVERIES, Due, delivered, postpone, take_due
from db.studies import instance_keys
from db.tenants import policy_of
from hilum.destinations import Address, Dimse
from hilum.dicom.deidentify import Policy
from hilum.errors import HilumError, Undelivered
from hilum.logs import describe_crash
from hilum.settings import Settings

LEASE_S: Final = 90.0
"""A courier unheard of for so long is lost, and another takes what it had."""

log = structlog.get_logger(__name__)


class Courier:
    """Delivers results to archives; several processes may have one each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def crew(self) -> Crew:
        """Return the threads that deliver."""
        return Crew("courier", self._parts.settings.couriers, self.deliver_one)

    def deliver_one(self) -> bool:
        """Deliver what has been due longest; false where nothing is due."""
        with self._parts.sessions.begin() as session:
            due = take_due(session, lease_s=LEASE_S)
        if due is None:
            return False
        with bound_contextvars(job_id=str(due.job_id), destination=due.destination):
            self._deliver(due)
        return True

    def _deliver(self, due: Due) -> None:
        try:
            with self._holding(due):
                count, account = self._send(due)
        except (HilumError, OSError) as error:
            reason = error.message if isinstance(error, HilumError) else type(error).__name__
            self._postpone(due, reason)
        except SQLAlchemyError:
            # Its lease brings it back.
            raise
        except Exception as error:  # noqa: BLE001 - the thread must outlive what it meets
            log.error("delivery.crashed", **describe_crash(error))  # noqa: TRY400 - a message may quote a header
            self._postpone(due, f"It broke off with {type(error).__name__}; the log has the place.")
        else:
            with self._parts.sessions.begin() as session:
                is_noted = delivered(session, due, count, account)
            log.info("delivery.done", objects=count, recorded=is_noted)

    @contextmanager
    def _holding(self, due: Due) -> Iterator[None]:
        """Keep a delivery for the length of a `with` block, however long sending takes."""
        ended = Event()

        def renew() -> None:
            while not ended.wait(LEASE_S / 3):
                # The database may be back for the next one.
                with suppress(SQLAlchemyError), self._parts.sessions.begin() as session:
                    DELIVERIES.keep(session, due, lease_s=LEASE_S)

        thread = Thread(target=renew, name="courier-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _postpone(self, due: Due, reason: str) -> None:
        with self._parts.sessions.begin() as session:
            state = postpone(session, due, reason)
        log.warning("delivery.postponed", reason=reason, state=state)

    def _send(self, due: Due) -> tuple[int, dict[str, Any] | None]:
        """Return how many objects went, and what was done to them on their way."""
        parts = self._parts
        with parts.sessions.begin() as session:
            policy = policy_of(session, due.tenant_id) if due.deidentify else None
            originals = instance_keys(session, due.study_id) if due.wants_originals else []
        keys = [*due.keys, *(row.key for row in originals)]
        with parts.spool.folder() as scratch, parts.spool.folder() as clean:
            paths, account = parts.store.local_files(keys, scratch), None
            if due.deidentify:
                treated = _without_patient(paths, clean, policy)
                paths, account = treated.paths, treated.to_json()
            send([Outgoing.of(path) for path in paths], due.address, scratch, parts.settings)
        return len(paths), account


def _without_patient(paths: list[Path], folder: Path, policy: Policy | None) -> Treated:
    # Better nothing than a name: the policy may have ended since the destination was added.
    if policy is None:
        raise Undelivered("The hospital has no policy of de-identification any more.")
    treated = treat(paths, folder, policy.deidentifier())
    if not treated.paths:
        raise Undelivered(f"None of {len(paths)} objects can be de-identified.")
    return treated


def send(files: list[Outgoing], to: Address, scratch: Path, settings: Settings) -> None:
    """Send objects to an archive by whichever protocol it speaks.

    Raises:
        Undelivered: the archive is away, or did not take one of them.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
    """
    if isinstance(to, Dimse):
        dimse.store(files, to, scratch, settings)
    else:
        stow.store(files, to, scratch, settings)


def echo(to: Address, settings: Settings) -> None:
    """Ask an archive whether it is there.

    Raises:
        Undelivered: it is not.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
    """
    if isinstance(to, Dimse):
        dimse.echo(to, settings)
    else:
        stow.echo(to, settings)
