# SPDX-License-Identifier: Apache-2.0
"""Studies in pieces over HTTP, for links that break: tus 1.0.0, which has clients for everything.

What arrives goes in by `api.intake`, as through every other door.
"""

from collections.abc import Iterator
from typing import Any, Final, cast
from uuid import UUID

from apiflask import APIBlueprint
from flask import Flask, Response, g, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.http import http_date

from api.announcement import Announcement
from api.auth import by_key_or_sender, tenant_id
from api.body import Body
from api.completion import finish, submitted_before
from api.intake import check_orderable
from api.partial import Partial
from api.parts import parts
from api.person import note
from api.schemas.uploads import (
    CHUNK_BODY,
    AnnouncedHeaders,
    AnnounceHeaders,
    ChunkHeaders,
    ProgressHeaders,
    ShownHeaders,
    TusHeaders,
    UploadJSON,
)
from api.shelf import Shelf
from api.tus import (
    ALGORITHMS,
    CHUNK_TYPE,
    EXTENSIONS,
    VERSION,
    Checksum,
    MethodOverride,
    check_chunk_type,
    check_version,
    speaks_tus,
)
from api.writer import Writer, writing
from hilum.audit import Action
from hilum.errors import EmptyUpload, UploadTooLarge
from hilum.settings import MIB

PATH: Final = "/v1/uploads"

resumable = APIBlueprint("resumable", __name__, url_prefix=PATH, tag="Uploads")

SIP: Final = 16 * 1024
"""Bytes read at a time. What a silent client had sent of one is lost, and poor links are slow."""

STALL_S: Final = 20.0
"""A client silent for so long is given up: it keeps its bytes, and its upload is locked till then."""

CHUNK_PROBLEMS: Final[dict[int, str]] = {
    400: "The chunk broke off, or its checksum is by an unknown algorithm.",
    404: "There is no such upload or batch.",
    409: "The upload stands at another offset, or its batch is closed.",
    412: "The client speaks another version of tus.",
    413: "There are more bytes than were announced, or than are taken.",
    415: "The chunk or the file is of a kind that is not read.",
    460: "The chunk is not what its checksum says; it was not kept.",
    429: "The hospital has as much as it may have; what came is kept.",
    507: "The disk is nearly full; what came is kept.",
}


@resumable.record_once
def _let_proxies_pass(state: BlueprintSetupState) -> None:
    app = cast("Flask", state.app)
    app.wsgi_app = MethodOverride(app.wsgi_app, PATH)  # type: ignore[assignment,method-assign]  # Flask asks for it


@resumable.after_request
def _tell_abilities(response: Response) -> Response:
    # With every answer: OPTIONS asks for them all, 412 must name the version and 413 the size.
    response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = VERSION
    response.headers["Tus-Extension"] = EXTENSIONS
    response.headers["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
    response.headers["Tus-Max-Size"] = str(_max_bytes())
    return response


@resumable.post("")
@resumable.auth_required(by_key_or_sender)
@speaks_tus
@resumable.input(AnnounceHeaders, location="headers", arg_name="headers")
@resumable.output(UploadJSON, status_code=201, headers=AnnouncedHeaders)
@resumable.doc(responses=CHUNK_PROBLEMS | {429: "Too many uploads are under way, or jobs."})
def announce(headers: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Announce a study that will be sent in pieces.

    What is wrong with the order is said before any byte is sent. A body of
    `application/offset+octet-stream` is the first piece.
    """
    length, metadata = headers["upload_length"], headers.get("upload_metadata", "")
    _check_length(length)
    checksum = _checksum(headers)
    order = Announcement.of(metadata, tenant_id(), parts().settings).order
    if submitted_before(order, parts()) is None:
        check_orderable(order, parts())
    partial = _shelf().add(tenant_id(), length=length, metadata=metadata)
    if request.mimetype == CHUNK_TYPE:
        partial = _begin(partial, checksum)
    return _document(partial), 201, {"Location": _address(partial), **_progress(partial)}


@resumable.get("/<uuid:upload_id>")
@resumable.auth_required(by_key_or_sender)
@resumable.output(UploadJSON, headers=ShownHeaders)
@resumable.doc(responses={410: "HEAD alone: the study could not be taken."})
def show(upload_id: UUID) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Show how far an upload is; HEAD, which clients of tus send, has it in headers."""
    is_tus = request.method == "HEAD"
    if is_tus:
        check_version()
    partial = _shelf().find(tenant_id(), upload_id)
    if is_tus:
        # To a client of tus an offset at the end means success, whatever else is said.
        partial.check_not_failed()
    announced = {"Upload-Length": str(partial.length), "Upload-Metadata": partial.metadata}
    shown = {name: value for name, value in announced.items() if value}
    return _document(partial), 200, shown | _progress(partial)


@resumable.patch("/<uuid:upload_id>")
@resumable.auth_required(by_key_or_sender)
@speaks_tus
@resumable.input(ChunkHeaders, location="headers", arg_name="headers")
@resumable.output({}, status_code=204, headers=ProgressHeaders)
@resumable.doc(
    extensions={"requestBody": CHUNK_BODY},
    responses=CHUNK_PROBLEMS
    | {
        410: "The study could not be taken.",
        423: "Another request is writing to the upload.",
    },
)
def go_on(upload_id: UUID, headers: dict[str, Any]) -> tuple[str, int, dict[str, str]]:
    """Send the next piece.

    The piece that makes the upload whole is answered once the study is taken, with the job in
    `Hilum-Job`; what is refused then is refused as `POST /v1/studies` does. Where the storage or
    the database was away, an empty piece at the end tries again.
    """
    partial = _shelf().find(tenant_id(), upload_id)
    check_chunk_type()
    checksum = _checksum(headers)
    with writing(partial.folder) as writer:
        writer.partial.check_not_failed()
        _receive(writer, headers["upload_offset"], checksum)
    return "", 204, _progress(Partial.load(partial.folder))


@resumable.delete("/<uuid:upload_id>")
@resumable.auth_required(by_key_or_sender)
@speaks_tus
@resumable.input(TusHeaders, location="headers", arg_name="_headers")
@resumable.output({}, status_code=204)
@resumable.doc(
    responses={
        412: "The client speaks another version of tus.",
        423: "Another request is writing to the upload.",
    }
)
def terminate(upload_id: UUID, _headers: dict[str, Any]) -> tuple[str, int]:
    """Forget an upload; a job that it made stays."""
    with writing(_shelf().find(tenant_id(), upload_id).folder) as writer:
        writer.remove()
    return "", 204


def _begin(partial: Partial, checksum: Checksum | None) -> Partial:
    with writing(partial.folder) as writer:
        try:
            _receive(writer, 0, checksum)
        except BaseException:
            # Nobody was told its address yet, so nobody can go on with it.
            writer.remove()
            raise
    return Partial.load(partial.folder)


def _receive(writer: Writer, offset: int, checksum: Checksum | None) -> None:
    writer.check_begin(offset, request.content_length or 0)
    body = Body(parts().settings, writer.partial.folder, stall_s=STALL_S)
    if checksum is None:
        writer.append(_sips(body))
    else:
        writer.append_checked(checksum.follow(_sips(body)))
    if writer.offset == writer.partial.length and writer.partial.outcome is None:
        finish(writer, tenant_id(), parts(), taken=_note_sender)


def _note_sender(job_id: UUID) -> None:
    if g.get("person") is not None:
        with parts().sessions.begin() as session:
            note(session, Action.STUDY_SENT, tenant_id=tenant_id(), subject=job_id)


def _sips(body: Body) -> Iterator[bytes]:
    while data := body.read(SIP):
        yield data


def _checksum(headers: dict[str, Any]) -> Checksum | None:
    value = headers.get("upload_checksum")
    return None if value is None else Checksum.of(value)


def _check_length(length: int) -> None:
    if length == 0:
        raise EmptyUpload("Upload-Length is 0, expected a zip archive or a DICOM file.")
    if length > _max_bytes():
        raise UploadTooLarge(f"Upload-Length is {length}, expected at most {_max_bytes()}.")


def _max_bytes() -> int:
    return parts().settings.max_upload_mb * MIB


def _shelf() -> Shelf:
    return Shelf.of(parts().settings)


def _address(partial: Partial) -> str:
    return url_for("resumable.show", upload_id=partial.id)


def _job_address(partial: Partial) -> str | None:
    job_id = partial.outcome and partial.outcome.job_id
    return url_for("jobs.show", job_id=job_id) if job_id else None


def _progress(partial: Partial) -> dict[str, str]:
    expires = {"Upload-Expires": http_date(partial.expires_at(_shelf().keep))}
    job = _job_address(partial)
    return {"Upload-Offset": str(partial.offset)} | expires | ({"Hilum-Job": job} if job else {})


def _document(partial: Partial) -> dict[str, Any]:
    outcome = partial.outcome
    return {
        "id": partial.id,
        "state": partial.state,
        "offset": partial.offset,
        "length": partial.length,
        "created_at": partial.created_at,
        "expires_at": partial.expires_at(_shelf().keep),
        "error": outcome and outcome.code and {"code": outcome.code, "message": outcome.message},
        "links": {"self": _address(partial), "job": _job_address(partial)},
    }
