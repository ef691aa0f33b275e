# SPDX-License-Identifier: Apache-2.0
"""WADO-RS: frames and other values of bytes (PS3.18 10.4.1.1.5, 10.4.1.1.6)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from flask import Response
from pydicom import uid as uids

from api.auth import by_key
from api.dicomweb import dicomweb
from api.dicomweb.accept import ANY, Accepted, choose
from api.dicomweb.multipart import Part, related, single
from api.dicomweb.objects import EXPLICIT, StoredObject, object_of
from hilum.dicom.frames import PIXELS, Frames, is_compressed
from hilum.dicom.metadata import bulk_value
from hilum.errors import InvalidRequest

BYTES: Final = "application/octet-stream"
PDF: Final = "application/pdf"

FRAME_TYPES: Final[Mapping[str, str]] = {
    str(uids.JPEGBaseline8Bit): "image/jpeg",
    str(uids.JPEGExtended12Bit): "image/jpeg",
    str(uids.JPEGLossless): "image/jpeg",
    str(uids.JPEGLosslessSV1): "image/jpeg",
    str(uids.JPEGLSLossless): "image/jls",
    str(uids.JPEGLSNearLossless): "image/jls",
    str(uids.JPEG2000Lossless): "image/jp2",
    str(uids.JPEG2000): "image/jp2",
    str(uids.HTJ2KLossless): "image/jphc",
    str(uids.HTJ2KLosslessRPCL): "image/jphc",
    str(uids.HTJ2K): "image/jphc",
    str(uids.RLELossless): "image/dicom-rle",
}
"""Media type of a compressed frame, by transfer syntax (PS3.18 table 8.7.3-5)."""

FRAME_LIST: Final = re.compile(r"[0-9]{1,6}(,[0-9]{1,6}){0,999}")
DOCUMENT: Final = "00420011"
"""Tag of EncapsulatedDocument."""


@dataclass(frozen=True, slots=True)
class FrameForm:
    """How frames are sent.

    Attributes:
        is_multipart: in parts.
        as_stored: compressed as they are kept, not decoded.
    """

    is_multipart: bool
    as_stored: bool


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/frames/<frames>")
@dicomweb.auth_required(by_key)
def frames(study_uid: str, series_uid: str, sop_uid: str, frames: str) -> Response:
    """Fetch frames of an instance."""
    return _send_frames(object_of(study_uid, series_uid, sop_uid), frame_numbers(frames))


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/bulkdata/<path:place>")
@dicomweb.auth_required(by_key)
def bulkdata(study_uid: str, series_uid: str, sop_uid: str, place: str) -> Response:
    """Fetch a value that metadata leaves out."""
    found = object_of(study_uid, series_uid, sop_uid)
    if place.upper() in {f"{tag:08X}" for tag in PIXELS}:
        return _send_frames(found, None)
    with found.file() as path:
        value = bulk_value(path, place)
    return _send_value(value, is_document=place == DOCUMENT)


def frame_numbers(asked: str) -> list[int]:
    """Return the numbers of a list of frames, which count from 1.

    Raises:
        InvalidRequest: it is no such list.
    """
    if not FRAME_LIST.fullmatch(asked):
        raise InvalidRequest(f"The frames are {asked[:80]!r}, expected numbers with commas.")
    return [int(number) for number in asked.split(",")]


def _send_frames(found: StoredObject, numbers: list[int] | None) -> Response:
    syntax = found.syntax
    is_one = numbers is not None and len(numbers) == 1
    form = choose(
        lambda one: _frame_form(one, syntax, is_one=is_one),
        offered=f"{BYTES} with transfer-syntax {EXPLICIT}, or as stored with *",
    )
    sent = _frame_parts(found, numbers, as_stored=form.as_stored)
    return related(sent) if form.is_multipart else single(next(sent))


def _frame_form(one: Accepted, syntax: str, *, is_one: bool) -> FrameForm | None:
    if one.is_multipart is False and not is_one:
        return None
    as_stored = _as_stored(one, syntax)
    return None if as_stored is None else FrameForm(one.is_multipart is not False, as_stored)


def _as_stored(one: Accepted, syntax: str) -> bool | None:
    """Return whether a client takes frames as they are kept, or decoded; None for neither."""
    compressed = is_compressed(syntax)
    if one.takes(BYTES):
        if one.syntax in {None, EXPLICIT}:
            return False
        if one.syntax == ANY:
            return compressed
    fits = one.takes(BYTES) or one.takes(FRAME_TYPES.get(syntax, BYTES))
    return True if compressed and fits and one.syntax in {None, ANY, syntax} else None


def _frame_parts(
    found: StoredObject, numbers: list[int] | None, *, as_stored: bool
) -> Iterator[Part]:
    with found.file() as path:
        source = Frames.open(path)
        numbers = numbers or list(range(1, source.count + 1))
        for number in numbers:
            source.check(number)
        for number in numbers:
            if as_stored:
                media_type = FRAME_TYPES.get(source.syntax, BYTES)
                yield Part(media_type, str(source.syntax), [source.stored(number)])
            else:
                yield Part(BYTES, EXPLICIT, [source.decoded(number)])


def _send_value(value: bytes, *, is_document: bool) -> Response:
    offers = {BYTES: Part(BYTES, EXPLICIT, [value])}
    if is_document and value.startswith(b"%PDF"):
        offers[PDF] = Part(PDF, None, [value])

    def offer(one: Accepted) -> tuple[bool, Part] | None:
        fitting = (part for media_type, part in offers.items() if one.takes(media_type))
        part = next(fitting, None)
        return None if part is None else (one.is_multipart is not False, part)

    is_multipart, part = choose(offer, offered=", ".join(offers))
    return related(iter([part])) if is_multipart else single(part)
