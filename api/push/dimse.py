# SPDX-License-Identifier: Apache-2.0
"""The user's side of C-STORE and C-ECHO (PS3.4 A, B): objects go to an archive by association."""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom import _config as pynetdicom_config
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

from api.push.bounds import place_of
from api.push.outgoing import Outgoing
from api.secure import client_context
from hilum.destinations import Dimse
from hilum.errors import Undelivered
from hilum.settings import Settings

CONNECT_S: Final = 10.0
ANSWER_S: Final = 60.0
"""An archive that neither reads nor answers for so long is away."""

SLOWEST_BYTES_S: Final = 64 * 1024
"""A link that carries less is none; an object is answered once it has crossed it."""

TAKEN: Final = frozenset({0x0000, 0x0111, 0xB000, 0xB006, 0xB007})
"""Success, what was there before (PS3.7 C.5.7), and the warnings of storage (PS3.4 B.2.3)."""


def store(files: Sequence[Outgoing], to: Dimse, scratch: Path, settings: Settings) -> None:
    """Send every object over one association.

    Args:
        files: what to send.
        to: the archive.
        scratch: folder for files in another encoding.
        settings: of TLS.

    Raises:
        Undelivered: the archive is away, or did not take one of them.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
        UnreadableObject, UnreadablePixels: an object has to be decoded for it, and cannot be.
    """
    # A file goes as it is, without being decoded on the way.
    pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True
    contexts = dict.fromkeys((one.sop_class_uid, each) for one in files for each in _syntaxes(one))
    with _association(to, contexts, settings) as association:
        accepted = {
            (str(context.abstract_syntax), str(syntax))
            for context in association.accepted_contexts
            for syntax in context.transfer_syntax
        }
        for number, one in enumerate(files, 1):
            status = _send(association, one, accepted, scratch)
            _check(status, f"object {number} of {len(files)}", to)


def echo(to: Dimse, settings: Settings) -> None:
    """Ask an archive whether it is there.

    Raises:
        Undelivered: it is not.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
    """
    contexts = [(str(Verification), str(ImplicitVRLittleEndian))]
    with _association(to, contexts, settings) as association:
        _check(association.send_c_echo().get("Status"), "C-ECHO", to)


def _syntaxes(one: Outgoing) -> tuple[str, ...]:
    """Return in which syntaxes an object can be sent, the best first."""
    own = (one.syntax,) if one.is_proper else ()
    return (*own, str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


@contextmanager
def _association(
    to: Dimse, contexts: Iterable[tuple[str, str]], settings: Settings
) -> Iterator[Association]:
    entity = AE(to.calling)
    entity.connection_timeout = CONNECT_S
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_S
    # One syntax a context: of several the archive would choose, and not what is kept.
    for kind, syntax in contexts:
        entity.add_requested_context(kind, syntax)
    place, tls = place_of(to, settings), _tls(to, settings)
    association = entity.associate(place, to.port, ae_title=to.title, tls_args=tls)
    if not association.is_established:
        raise Undelivered(f"{to} {_why(association)}.")
    # pynetdicom waits for ever for a peer that has stopped to read, and never ends its thread.
    if (connected := association.dul.socket) is not None and connected.socket is not None:
        connected.socket.settimeout(ANSWER_S)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _why(association: Association) -> str:
    """Return why there is no association."""
    if association.is_rejected:
        return "rejected the association"
    return "takes no such objects" if association.rejected_contexts else "does not answer"


def _tls(to: Dimse, settings: Settings) -> tuple[ssl.SSLContext, str] | None:
    return (client_context(settings), to.host) if to.tls else None


def _send(
    association: Association, one: Outgoing, accepted: set[tuple[str, str]], scratch: Path
) -> int | None:
    """Send an object in the best syntax that was accepted; return the status, None without answer."""
    for syntax in _syntaxes(one):
        if (one.sop_class_uid, syntax) not in accepted:
            continue
        plain = one if one.is_proper and syntax == one.syntax else one.inflated(scratch)
        # pynetdicom makes implicit VR, of a dataset.
        data = dcmread(plain.path) if syntax != plain.syntax else plain.path
        # The clock runs from when the object was handed over, not from when it has arrived.
        association.dimse_timeout = ANSWER_S + plain.path.stat().st_size / SLOWEST_BYTES_S
        # Who breaks off between two objects has an answer to neither.
        is_there = association.is_established
        return association.send_c_store(data).get("Status") if is_there else None
    raise Undelivered(f"The archive takes no objects of SOP class {one.sop_class_uid}.")


def _check(status: int | None, what: str, to: Dimse) -> None:
    if status is None:
        raise Undelivered(f"{to} broke off at {what}.")
    if status not in TAKEN:
        raise Undelivered(f"{to} answered {what} with status 0x{status:04X}.")
