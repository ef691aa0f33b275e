"""Addresses of DICOMweb, and what its answers hold."""

import email
import email.policy
import io
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from tests.api.caller import Answer, Caller

ROOT = "/dicom-web"
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Place:
    """UIDs of an instance, and the addresses that they make."""

    study_uid: str
    series_uid: str
    sop_uid: str

    @classmethod
    def of(cls, dataset: Dataset) -> "Place":
        return cls(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)

    @property
    def study(self) -> str:
        return f"{ROOT}/studies/{self.study_uid}"

    @property
    def series(self) -> str:
        return f"{self.study}/series/{self.series_uid}"

    @property
    def instance(self) -> str:
        return f"{self.series}/instances/{self.sop_uid}"


def tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


def values(results: list[dict[str, Any]], keyword: str) -> list[Any]:
    """Return the value of each result that has one."""
    found = [one.get(tag(keyword), {}).get("Value", [None])[0] for one in results]
    return [one for one in found if one is not None]


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """Return media type and bytes of each part."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.data, policy=email.policy.HTTP)
    assert message.is_multipart()
    assert not message.defects
    # The mail reader changes the ends of lines, which in pixels are pixels.
    pieces = answer.data.split(f"--{message.get_boundary()}".encode())
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    assert len(pieces) - 2 == len(list(message.iter_parts()))
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> tuple[str, bytes]:
    header, _, body = piece.partition(b"\r\n\r\n")
    assert body.endswith(b"\r\n")
    return header.decode().removeprefix("\r\nContent-Type: "), body[:-2]


def objects_of(answer: Answer) -> list[Dataset]:
    return [dcmread(io.BytesIO(data)) for _, data in parts_of(answer)]


def get(caller: Caller, path: str, accept: str | None = None, **query: Any) -> Answer:
    return caller.get(path, headers={"Accept": accept} if accept else None, **query)
