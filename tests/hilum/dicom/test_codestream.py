import io

import pytest
from PIL import Image

from hilum.dicom.codestream import claimed_size


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_frame_tells_its_rows_and_columns(kind: str) -> None:
    frame = io.BytesIO()
    options = {"no_jp2": True} if kind == "JPEG2000" else {}
    Image.new("L", (64, 48)).save(frame, kind, **options)

    assert claimed_size(frame.getvalue()) == (48, 64)


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc4\x00\x00", b"\xff\x4f\xff\x51\x00", b"noise"]
)
def test_frame_that_tells_nothing_gives_none(frame: bytes) -> None:
    assert claimed_size(frame) is None
