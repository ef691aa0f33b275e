# SPDX-License-Identifier: Apache-2.0
"""WADO-RS: objects and what they say (PS3.18 10.4), each part written as it is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from flask import Response, json

from api.auth import by_key
from api.dicomweb import dicomweb
from api.dicomweb.accept import ANY, Accepted, choose, choose_type
from api.dicomweb.multipart import Part, related, single
from api.dicomweb.objects import DICOM, EXPLICIT, UNDECODABLE, StoredObject, object_of, objects_of
from api.dicomweb.qido import JSON_TYPES
from hilum.dicom.attributes import JSONObject
from hilum.dicom.metadata import metadata
from hilum.errors import UnreadableObject

OFFERED: Final = (
    f'multipart/related; type="{DICOM}" with transfer-syntax {EXPLICIT} or *,'
    f" and one instance as {DICOM} too"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """How objects are sent.

    Attributes:
        is_multipart: in parts.
        syntax: transfer syntax of each; `*` for the one it is kept in.
    """

    is_multipart: bool
    syntax: str


@dicomweb.get("/studies/<study_uid>")
@dicomweb.auth_required(by_key)
def study(study_uid: str) -> Response:
    """Fetch a study."""
    return _send(objects_of(study_uid))


@dicomweb.get("/studies/<study_uid>/series/<series_uid>")
@dicomweb.auth_required(by_key)
def series(study_uid: str, series_uid: str) -> Response:
    """Fetch a series."""
    return _send(objects_of(study_uid, series_uid))


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>")
@dicomweb.auth_required(by_key)
def instance(study_uid: str, series_uid: str, sop_uid: str) -> Response:
    """Fetch an instance."""
    found = object_of(study_uid, series_uid, sop_uid)
    form = _form([found], is_one=True)
    part = found.part(form.syntax)
    return related(iter([part])) if form.is_multipart else single(part)


@dicomweb.get("/studies/<study_uid>/metadata")
@dicomweb.auth_required(by_key)
def study_metadata(study_uid: str) -> Response:
    """Say what the objects of a study say."""
    return _tell(objects_of(study_uid))


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/metadata")
@dicomweb.auth_required(by_key)
def series_metadata(study_uid: str, series_uid: str) -> Response:
    """Say what the objects of a series say."""
    return _tell(objects_of(study_uid, series_uid))


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/metadata")
@dicomweb.auth_required(by_key)
def instance_metadata(study_uid: str, series_uid: str, sop_uid: str) -> Response:
    """Say what an object says."""
    return _tell([object_of(study_uid, series_uid, sop_uid)])


def _send(objects: Sequence[StoredObject]) -> Response:
    form = _form(objects, is_one=False)
    return related(_each(objects, form.syntax))


def _form(objects: Sequence[StoredObject], *, is_one: bool) -> Form:
    def offer(one: Accepted) -> Form | None:
        if not one.takes(DICOM) or (one.is_multipart is False and not is_one):
            return None
        syntax = one.syntax or EXPLICIT
        if syntax not in {ANY, EXPLICIT} and any(each.syntax != syntax for each in objects):
            return None
        return Form(one.is_multipart is not False, syntax)

    return choose(offer, offered=OFFERED)


def _each(objects: Sequence[StoredObject], syntax: str) -> Iterator[Part]:
    for each in objects:
        try:
            yield each.part(syntax)
        except UNDECODABLE as error:
            # One broken slice must not cost the others: it comes as it is, and its part says so.
            uid = each.found.instance.sop_instance_uid
            log.warning("dicomweb.undecodable", instance_uid=uid, code=error.code)
            yield each.as_stored()


def _tell(objects: Sequence[StoredObject]) -> Response:
    media_type = choose_type(JSON_TYPES)
    # Addresses are made now: once the answer is under way there is no request any more.
    addressed = [(each, each.url) for each in objects]
    documents = (json.dumps(_metadata(each, url)) for each, url in addressed)
    return Response(_array(documents), mimetype=media_type)


def _array(documents: Iterator[str]) -> Iterator[str]:
    start = "["
    for document in documents:
        yield f"{start}{document}"
        start = ","
    yield "]" if start == "," else "[]"


def _metadata(one: StoredObject, url: str) -> JSONObject:
    try:
        with one.file() as path:
            return metadata(path, lambda place: f"{url}/bulkdata/{place}")
    except UnreadableObject:
        # What it said when it came is still known.
        found = one.found
        levels = (found.study.attributes, found.series.attributes, found.instance.attributes)
        return {tag: said for level in levels if level for tag, said in sorted(level.items())}
