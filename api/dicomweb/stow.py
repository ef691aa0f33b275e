# SPDX-License-Identifier: Apache-2.0
"""STOW-RS (PS3.18 10.5): instances come in, each is answered for by itself."""

import json
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog
from apiflask.exceptions import abort
from flask import Response, request
from marshmallow import RAISE

from api.auth import by_key, tenant_id
from api.dicomweb import dicomweb
from api.dicomweb.qido import DICOM_JSON, JSON_TYPES
from api.dicomweb.results import address, plain
from api.orders import Order, OrderJSON
from api.parts import parts
from api.related import DICOM, Part, check_related, receive_related
from db.tenants import policy_of
from hilum.dicom.identifiers import Identifiers, read_identifiers


class Reason(IntEnum):
    """Why an instance was not taken (PS3.18 Table I.2-2)."""

    NOT_DICOM = 0xC000
    """Cannot understand: no DICOM file with its three UIDs."""
    OTHER_STUDY = 0xC409
    """Cannot understand: its study is not the one in the address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part.

    Attributes:
        part: what came.
        uids: what it is called; None where it is no DICOM.
        reason: why it was not taken; None where it was.
    """

    part: Part
    uids: Identifiers | None
    reason: Reason | None


log = structlog.get_logger(__name__)


@dicomweb.post("/studies")
@dicomweb.auth_required(by_key)
@dicomweb.input(OrderJSON, location="query", arg_name="query", unknown=RAISE)
def store(query: dict[str, Any]) -> Response:
    """Store instances of any studies."""
    return _store(query, None)


@dicomweb.post("/studies/<study_uid>")
@dicomweb.auth_required(by_key)
@dicomweb.input(OrderJSON, location="query", arg_name="query", unknown=RAISE)
def store_in_study(study_uid: str, query: dict[str, Any]) -> Response:
    """Store instances of one study."""
    return _store(query, study_uid)


def _store(query: dict[str, Any], study_uid: str | None) -> Response:
    check_related()
    accepted = request.accept_mimetypes
    if accepted and not accepted.best_match(JSON_TYPES):
        abort(HTTPStatus.NOT_ACCEPTABLE, f"The answer is {DICOM_JSON}; Accept excludes it.")
    # What is asked for and cannot be had is said before a gigabyte is sent.
    order = Order.of(tenant_id(), query, idempotency_key=None, settings=parts().settings)
    order.find_network()
    parts().room.check(tenant_id(), order.priority, request.content_length or 0)
    with parts().spool.folder() as folder:
        received = receive_related(folder, parts().settings)
        outcomes = [_judge(part, study_uid) for part in received]
        taken = [one for one in outcomes if one.reason is None]
        _keep(taken, query, tenant_id())
    log.info("stow.received", stored=len(taken), refused=len(outcomes) - len(taken))
    document = _document(outcomes, study_uid, is_renamed=_is_renamed(tenant_id()))
    return Response(json.dumps(document), _status(outcomes), mimetype=DICOM_JSON)


def _is_renamed(tenant: UUID) -> bool:
    """Tell whether what comes is kept under other UIDs than it was sent by."""
    with parts().sessions.begin() as session:
        policy = policy_of(session, tenant)
    return policy is not None and policy.on_arrival


def _judge(part: Part, study_uid: str | None) -> Outcome:
    uids = read_identifiers(part.file.path) if part.media_type == DICOM else None
    if uids is None:
        return Outcome(part, None, Reason.NOT_DICOM)
    is_other = study_uid is not None and uids.study_uid != study_uid
    return Outcome(part, uids, Reason.OTHER_STUDY if is_other else None)


def _keep(taken: list[Outcome], asked: dict[str, Any], tenant: UUID) -> None:
    arrived = [(one.uids.study_uid, one.part.file) for one in taken if one.uids is not None]
    parts().inbox.add(tenant, asked, arrived)


def _status(outcomes: list[Outcome]) -> HTTPStatus:
    refused = sum(one.reason is not None for one in outcomes)
    if not refused:
        return HTTPStatus.OK
    return HTTPStatus.CONFLICT if refused == len(outcomes) else HTTPStatus.ACCEPTED


# ── The answer (PS3.18 Table 10.5.3-1) ────────────────────────────────────────────────────────


def _document(
    outcomes: list[Outcome], study_uid: str | None, *, is_renamed: bool
) -> dict[str, Any]:
    stored = [one for one in outcomes if one.reason is None]
    refused = [one for one in outcomes if one.reason is not None]
    uids = {one.uids.study_uid for one in stored if one.uids is not None}
    document: dict[str, Any] = {}
    if stored and not is_renamed and len(uids | ({study_uid} if study_uid else set())) == 1:
        document |= plain(RetrieveURL=("UR", address(study_uid=uids.pop())))
    if stored:
        taken = (_reference(one) | ({} if is_renamed else _place(one)) for one in stored)
        document |= plain(ReferencedSOPSequence=("SQ", *taken))
    if refused:
        failed = (_reference(one) | plain(FailureReason=("US", one.reason)) for one in refused)
        document |= plain(FailedSOPSequence=("SQ", *failed))
    return document


def _reference(one: Outcome) -> dict[str, Any]:
    if one.uids is None:
        return {}
    return plain(
        ReferencedSOPClassUID=("UI", one.uids.sop_class_uid),
        ReferencedSOPInstanceUID=("UI", one.uids.sop_instance_uid),
    )


def _place(one: Outcome) -> dict[str, Any]:
    """Say where an instance is fetched once its study is taken in."""
    if one.uids is None:
        return {}
    url = address(
        study_uid=one.uids.study_uid,
        series_uid=one.uids.series_uid,
        sop_uid=one.uids.sop_instance_uid,
    )
    return plain(RetrieveURL=("UR", url))
