# SPDX-License-Identifier: Apache-2.0
"""Shapes of uploads that arrive in pieces."""

from typing import Final

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Integer, Nested, String
from apiflask.validators import OneOf, Range

from api.partial import UploadState
from api.schemas.fields import BINARY, choice, count, text
from api.schemas.jobs import FailureJSON
from api.tus import ALGORITHMS, CHUNK_TYPE, VERSION

CHUNK_BODY: Final = {"content": {CHUNK_TYPE: {"schema": BINARY}}}
"""The body of a chunk, for the OpenAPI document."""

_NOT_NEGATIVE: Final = Range(min=0)


class TusHeaders(Schema):
    """Headers of every request of tus."""

    tus_resumable = String(
        data_key="Tus-Resumable",
        required=True,
        validate=OneOf([VERSION]),
        metadata={"description": "Version of tus."},
    )


class ChecksumHeaders(TusHeaders):
    """Headers of a request that carries bytes."""

    upload_checksum = String(
        data_key="Upload-Checksum",
        metadata={"description": f"`sha256 <base64>` of the body; {', '.join(ALGORITHMS)}."},
    )


class AnnounceHeaders(ChecksumHeaders):
    """Headers that announce an upload."""

    upload_length = Integer(
        data_key="Upload-Length",
        required=True,
        validate=_NOT_NEGATIVE,
        metadata={"description": "Bytes that will come in all."},
    )
    upload_metadata = String(
        data_key="Upload-Metadata",
        metadata={
            "description": "Keys with values in base64, divided by commas: `filename`, `filetype`,"
            " and the order as for `POST /v1/studies`, `idempotency_key` included."
        },
    )


class ChunkHeaders(ChecksumHeaders):
    """Headers of a chunk."""

    upload_offset = Integer(
        data_key="Upload-Offset",
        required=True,
        validate=_NOT_NEGATIVE,
        metadata={"description": "Where the chunk begins: bytes that are there already."},
    )


class ProgressHeaders(Schema):
    """How far an upload is."""

    upload_offset = count("Bytes that are here.", data_key="Upload-Offset", required=True)
    upload_expires = text("When it is forgotten.", data_key="Upload-Expires", required=True)
    hilum_job = text("The job, once the study is taken.", data_key="Hilum-Job")


class AnnouncedHeaders(ProgressHeaders):
    """Where an upload is, and how far."""

    location = text("Where its bytes go.", data_key="Location", required=True)


class ShownHeaders(ProgressHeaders):
    """How far an upload is, and what was announced."""

    upload_length = count("Bytes in all.", data_key="Upload-Length", required=True)
    upload_metadata = text("As it was sent.", data_key="Upload-Metadata")


class UploadLinksJSON(Schema):
    """Where to go from an upload."""

    self = text("This upload.", required=True)
    job = text("Its job, once the study is taken.", required=True, allow_none=True)


class UploadJSON(Schema):
    """An upload that arrives in pieces."""

    id = UUID(required=True)
    state = choice(
        UploadState,
        "`whole` has all bytes and no job yet: an empty PATCH tries again.",
        required=True,
    )
    offset = count("Bytes that are here.", required=True)
    length = count("Bytes in all.", required=True)
    created_at = AwareDateTime(required=True)
    expires_at = AwareDateTime(required=True)
    error = Nested(FailureJSON, required=True, allow_none=True)
    links = Nested(UploadLinksJSON, required=True)
