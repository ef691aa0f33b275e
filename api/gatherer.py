# SPDX-License-Identifier: Apache-2.0
"""Takes studies out of the inbox once they are complete, and joins late instances to theirs."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from api.confidential import Cleared, cleared
from api.inbox import Pending, locked
from api.intake import accept, keep
from api.orders import Order
from api.parts import Parts
from api.spool import SpooledFile
from db.studies import instance_keys, newest_study
from hilum.dicom.identifiers import read_identifiers
from hilum.errors import BurnedInText, HilumError, InputError, NotDeidentifiable
from hilum.logs import describe_crash

LOOK_EVERY_S: Final = 1.0
"""Between two looks at the inbox."""

AGAIN_S: Final = 30.0
"""Before a study is tried again that could not be taken in."""

PASSING: Final = (HilumError, OperationalError, InterfaceError, OSError)
"""The disk is full, the queue too long, the database away: the study waits where it is."""

log = structlog.get_logger(__name__)


class Gatherer:
    """A thread that looks at the inbox; several processes may have one each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._not_before: dict[Path, float] = {}
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="gatherer", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End after the study at hand."""
        self._stopping.set()
        self._thread.join()

    def gather(self) -> None:
        """Take in every study that is complete."""
        for study in self._parts.inbox.pending():
            if self._parts.inbox.is_complete(study) and self._is_its_turn(study):
                self._try(study)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self.gather()
            except Exception as error:  # noqa: BLE001 - the thread must outlive what it meets
                log.error("inbox.crashed", **describe_crash(error))  # noqa: TRY400 - a message may quote a header

    def _is_its_turn(self, study: Pending) -> bool:
        return time.monotonic() >= self._not_before.get(study.folder, 0.0)

    def _try(self, study: Pending) -> None:
        with locked(study.folder) as is_ours:
            if not is_ours:
                return
            try:
                self._take(study)
            except PASSING as error:
                self._not_before[study.folder] = time.monotonic() + AGAIN_S
                log.warning("inbox.postponed", **describe_crash(error))
            except Exception:
                self._not_before[study.folder] = time.monotonic() + AGAIN_S
                raise
            else:
                self._not_before.pop(study.folder, None)

    def _take(self, study: Pending) -> None:
        files = study.files()
        if files:
            with suppress(NotDeidentifiable, BurnedInText):
                self._clear_and_hand_on(study, files)
        # Kept and committed: only now may they go.
        study.forget(files)

    def _clear_and_hand_on(self, study: Pending, files: list[SpooledFile]) -> None:
        with (
            cleared(files, study.tenant_id, self._parts) as new,
            self._parts.spool.folder() as scratch,
        ):
            if new.files:
                is_treated = new.account is not None
                held = self._held(study.tenant_id, new.files[0], scratch, is_treated=is_treated)
                self._hand_on(study, Cleared(_joined(new.files, held), new.account))

    def _hand_on(self, study: Pending, all_clear: Cleared) -> None:
        settings = self._parts.settings
        try:
            order = Order.of(study.tenant_id, study.asked, idempotency_key=None, settings=settings)
            accept(all_clear, order, self._parts, is_promised=True)
        except InputError as error:
            # Whoever sent it was told that it is safe; it is kept, and the log says why no job came.
            study_id = keep(all_clear, study.tenant_id, self._parts)
            log.warning(
                "study.without_job", study_id=str(study_id), code=error.code, message=error.message
            )

    def _held(
        self, tenant_id: UUID, one: SpooledFile, scratch: Path, *, is_treated: bool
    ) -> list[SpooledFile]:
        """Return what came of the same study before: late instances make a new upload of all.

        Where UIDs are retained, what came before a hospital's policy is not joined to what came
        after it: it names the patient.
        """
        found = read_identifiers(one.path)
        if found is None:
            return []
        with self._parts.sessions.begin() as session:
            row = newest_study(session, tenant_id, found.study_uid)
            is_kin = row is not None and (row.deidentification is not None or not is_treated)
            rows = instance_keys(session, row.id) if row is not None and is_kin else []
        paths = self._parts.store.local_files([row.key for row in rows], scratch)
        return [
            SpooledFile(path, row.sha256, row.size_bytes)
            for path, row in zip(paths, rows, strict=True)
        ]


def _joined(new: Sequence[SpooledFile], held: list[SpooledFile]) -> list[SpooledFile]:
    """Return every file once; what is held goes first, so that it keeps its name."""
    return list({file.sha256: file for file in [*held, *new]}.values())
