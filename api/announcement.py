# SPDX-License-Identifier: Apache-2.0
"""What a client says, before the first byte, of a study that will arrive in pieces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from marshmallow import ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from api.errors import explain
from api.orders import Order, UploadHeaders
from api.spool import SpooledFile, spooled
from api.tus import parse_metadata
from api.uploads import DICOM_TYPE, RAW_TYPES, ZIP_TYPES, unpacked
from hilum.errors import InvalidRequest
from hilum.settings import Settings

ABOUT_THE_FILE: Final = frozenset({"filename", "filetype", "name", "type", "relativePath"})
"""What clients of tus tell of a file by themselves; all else is the order."""

KEY: Final = "idempotency_key"

DICOM_MAGIC: Final = b"DICM"
DICOM_MAGIC_AT: Final = 128
"""DICOM PS3.10 section 7.1."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An upload as it was announced.

    Attributes:
        order: what is to be done with the study.
        media_type: of the file; empty where the client does not say.
    """

    order: Order
    media_type: str

    @classmethod
    def of(cls, metadata: str, tenant_id: UUID, settings: Settings) -> Self:
        """Return what Upload-Metadata announces.

        Raises:
            InvalidRequest, UnknownPipeline, UnsafeCallback: there is no such order.
            UnsupportedMediaType: the file is of a kind that is not read.
        """
        fields = parse_metadata(metadata)
        key = _check_key(fields.pop(KEY, None))
        asked = {name: value for name, value in fields.items() if name not in ABOUT_THE_FILE}
        order = Order.of(tenant_id, asked, idempotency_key=key, settings=settings)
        return cls(order, _media_type(fields))

    def files(self, path: Path, folder: Path) -> tuple[SpooledFile, ...]:
        """Return the DICOM files of a file that arrived whole, which is taken apart.

        Raises:
            UploadError: it is an archive that is not taken.
            StorageFull: the disk does not take its files.
        """
        if self.media_type == DICOM_TYPE or (self.media_type not in ZIP_TYPES and _is_dicom(path)):
            return (spooled(path),)
        return unpacked(path, folder, self.order.settings)


def _check_key(key: str | None) -> str | None:
    name = "Idempotency-Key"
    try:
        UploadHeaders().load({} if key is None else {name: key})
    except ValidationError as error:
        raise InvalidRequest(explain({KEY: error.messages_dict[name]})) from error
    return key


def _media_type(fields: Mapping[str, str]) -> str:
    media_type = fields.get("filetype") or fields.get("type") or ""
    if media_type and media_type not in RAW_TYPES:
        raise UnsupportedMediaType(
            f"The file is of a kind that is not read, expected {', '.join(sorted(RAW_TYPES))}."
        )
    return media_type


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(DICOM_MAGIC_AT)
        return stream.read(len(DICOM_MAGIC)) == DICOM_MAGIC
