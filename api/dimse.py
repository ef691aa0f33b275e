# SPDX-License-Identifier: Apache-2.0
"""The scanners' door: C-ECHO and C-STORE (PS3.4 A, B), by association."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, cast
from uuid import UUID

import structlog
from pynetdicom import _config as pynetdicom_config
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy.exc import SQLAlchemyError

from api.parts import Parts
from api.secure import Entity, tls_context
from api.spool import SpoolFile
from db.titles import find_title
from hilum.dicom.identifiers import read_identifiers
from hilum.dicom.syntaxes import readable_syntaxes
from hilum.errors import QueueOverloaded, QuotaExceeded, StorageFull
from hilum.jobs import Priority
from hilum.logs import describe_crash
from hilum.storage import check_free

PORT: Final = 11112
"""What DICOM services listen on that need no right to a low port."""

IDLE_S: Final = 60.0
"""An association silent for so long is aborted: it holds one of few threads."""

LARGEST_PDU: Final = 256 * 1024
"""Bytes of a message's piece; larger ones make fewer of them."""

REJECTED: Final = 0x01
BY_USER: Final = 0x01
UNKNOWN_CALLING: Final = 0x03
UNKNOWN_CALLED: Final = 0x07
REJECTED_FOR_NOW: Final = 0x02
BY_PROVIDER: Final = 0x03
CONGESTED: Final = 0x01


class Status(IntEnum):
    """What a scanner is answered (PS3.4 Table B.2-1)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    OTHER_INSTANCE = 0xA900
    NOT_UNDERSTOOD = 0xC000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who an association belongs to.

    Attributes:
        tenant_id: the hospital.
        asked: what is to be done with its studies.
        title: what was called.
    """

    tenant_id: UUID
    asked: dict[str, str]
    title: str

    @property
    def priority(self) -> Priority:
        """How urgent its studies are."""
        return Priority(self.asked.get("priority", Priority.ROUTINE))


log = structlog.get_logger(__name__)


class Scp:
    """A service that takes what scanners send into the inbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._callers: dict[Association, Caller] = {}

    def listen(self, host: str, port: int) -> ThreadedAssociationServer:
        """Begin to listen, in a thread of its own.

        Raises:
            MissingSetting: the files of TLS cannot be used.
        """
        # Whatever a scanner calls its objects, it is to get rid of them.
        pynetdicom_config.UNRESTRICTED_STORAGE_SERVICE = True
        entity = Entity("HILUM")
        entity.maximum_associations = self._parts.settings.dimse_associations
        entity.maximum_pdu_size = LARGEST_PDU
        entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = IDLE_S
        entity.add_supported_context(Verification)
        syntaxes = list(readable_syntaxes())
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), syntaxes)
        server = entity.start_server(
            (host, port),
            block=False,
            ssl_context=tls_context(self._parts.settings),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._admit),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_CONN_CLOSE, self._forget),
            ],
        )
        assert server is not None  # noqa: S101 - it is, where it does not block
        return server

    def _admit(self, event: Event) -> None:
        """Let a known scanner in; turn any other away with the standard's reason."""
        asked = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        called, calling = asked.called_ae_title, asked.calling_ae_title
        try:
            with self._parts.sessions.begin() as session:
                row = find_title(session, called.strip())
        except SQLAlchemyError as error:
            log.error("dimse.unavailable", **describe_crash(error))  # noqa: TRY400 - a driver's message names hosts
            self._reject(event, REJECTED_FOR_NOW, BY_PROVIDER, CONGESTED)
            return
        if row is None:
            self._reject(event, REJECTED, BY_USER, UNKNOWN_CALLED)
        elif row.calling and calling.strip() not in row.calling:
            self._reject(event, REJECTED, BY_USER, UNKNOWN_CALLING)
        else:
            self._callers[event.assoc] = Caller(row.tenant_id, dict(row.order), row.title)

    def _reject(self, event: Event, result: int, source: int, reason: int) -> None:
        log.warning("dimse.rejected", result=result, source=source, reason=reason)
        event.assoc.acse.send_reject(result, source, reason)
        event.assoc.kill()

    def _forget(self, event: Event) -> None:
        self._callers.pop(event.assoc, None)

    def _store(self, event: Event) -> int:
        """Keep one instance; success is said once it is safe."""
        try:
            return self._take(event, self._callers[event.assoc])
        except (StorageFull, QuotaExceeded, QueueOverloaded) as error:
            log.warning("dimse.full", code=error.code, message=error.message)
            return Status.OUT_OF_RESOURCES
        except OSError as error:
            log.error("dimse.crashed", **describe_crash(error))  # noqa: TRY400 - a path may hold a UID alone
            return Status.OUT_OF_RESOURCES

    def _take(self, event: Event, caller: Caller) -> Status:
        settings, spool = self._parts.settings, self._parts.spool
        request, data = cast("C_STORE", event.request), event.encoded_dataset()
        self._parts.room.check(caller.tenant_id, caller.priority, len(data))
        check_free(spool.home, needed=len(data), min_free_mb=settings.min_free_mb)
        with spool.folder() as folder:
            with SpoolFile(folder / "instance") as file:
                file.write(data)
            uids = read_identifiers(file.path)
            if uids is None:
                return Status.NOT_UNDERSTOOD
            if uids.sop_instance_uid != str(request.AffectedSOPInstanceUID):
                return Status.OTHER_INSTANCE
            arrived = [(uids.study_uid, file.done())]
            self._parts.inbox.add(caller.tenant_id, caller.asked, arrived)
        return Status.SUCCESS
