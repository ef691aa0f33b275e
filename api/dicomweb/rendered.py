# SPDX-License-Identifier: Apache-2.0
"""WADO-RS: objects as pictures for people (PS3.18 10.4.1.1.3, 8.3.5)."""

import io
from pathlib import Path
from typing import Final

from flask import Response, request
from PIL.Image import Image
from werkzeug.exceptions import NotAcceptable

from api.auth import by_key
from api.dicomweb import dicomweb
from api.dicomweb.accept import choose_type
from api.dicomweb.frames import DOCUMENT, PDF, frame_numbers
from api.dicomweb.objects import StoredObject, object_of
from hilum.dicom import header
from hilum.dicom.frames import PIXELS, open_header
from hilum.dicom.metadata import bulk_value
from hilum.dicom.picture import Window, picture
from hilum.errors import InvalidRequest

PICTURES: Final = {"image/png": "PNG", "image/jpeg": "JPEG"}
"""What pictures come as, and what their writer calls it."""

USUAL_QUALITY: Final = 90
"""Of a JPEG, 1 to 100."""


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/rendered")
@dicomweb.auth_required(by_key)
def rendered_instance(study_uid: str, series_uid: str, sop_uid: str) -> Response:
    """Show an instance; of several frames, the first."""
    return _show(object_of(study_uid, series_uid, sop_uid), 1)


@dicomweb.get(
    "/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/frames/<frames>/rendered"
)
@dicomweb.auth_required(by_key)
def rendered_frame(study_uid: str, series_uid: str, sop_uid: str, frames: str) -> Response:
    """Show a frame of an instance."""
    numbers = frame_numbers(frames)
    if len(numbers) != 1:
        raise InvalidRequest(f"{len(numbers)} frames were asked for, expected one at a time.")
    return _show(object_of(study_uid, series_uid, sop_uid), numbers[0])


def _show(found: StoredObject, number: int) -> Response:
    window = Window.parse(request.args["window"]) if "window" in request.args else None
    quality = _quality()
    with found.file() as path:
        kept = open_header(path)
        if any(tag in kept for tag in PIXELS):
            media_type = choose_type([*PICTURES])
            return Response(
                _encoded(picture(path, number, window), media_type, quality),
                content_type=media_type,
            )
        if header.text(kept, "MIMETypeOfEncapsulatedDocument") == PDF:
            return Response(_document(path), content_type=choose_type([PDF]))
    raise NotAcceptable("There is no picture of it: it holds neither pixels nor a PDF document.")


def _encoded(drawn: Image, media_type: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    drawn.save(buffer, PICTURES[media_type], quality=quality)
    return buffer.getvalue()


def _document(path: Path) -> bytes:
    value = bulk_value(path, DOCUMENT)
    # Values have an even length (PS3.5 6.2), so a NUL may follow the document's last byte.
    return value.removesuffix(b"\x00")


def _quality() -> int:
    asked = request.args.get("quality", str(USUAL_QUALITY))
    if not asked.isascii() or not asked.isdigit() or not 1 <= int(asked[:9]) <= 100:  # noqa: PLR2004 - PS3.18 8.3.5.1.2
        raise InvalidRequest(f"quality is {asked[:80]!r}, expected 1 to 100.")
    return int(asked)
