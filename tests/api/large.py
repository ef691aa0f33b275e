"""Studies of any size: slices of noise, which no compression makes smaller."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.uid import generate_uid

from hilum.phantom import make_phantom

MIB = 1024 * 1024
SIZE_PX = 512


def slices(mib: int) -> Iterator[bytes]:
    """Yield the files of a CT series of about this size, no two studies alike."""
    dataset = make_phantom(0, slices=8, size_px=64).datasets()[0]
    dataset.Rows = dataset.Columns = SIZE_PX
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    noise, size = np.random.default_rng(mib), 2 * SIZE_PX * SIZE_PX
    for number in range(max(mib * MIB // size, 3)):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.ImagePositionPatient = [0, 0, number]
        dataset.PixelData = noise.bytes(size)
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()


def write_archive(archive: Path, *, mib: int) -> Path:
    """Write a study as a zip; returns its path."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for number, content in enumerate(slices(mib)):
            target.writestr(f"{number:05}.dcm", content)
    return archive


def write_form(body: Path, *, mib: int, boundary: str) -> Path:
    """Write a study as a form of one part a slice; returns its path."""
    with body.open("wb") as target:
        for number, content in enumerate(slices(mib)):
            target.write(
                f"--{boundary}\r\nContent-Disposition: form-data;"
                f' name="file"; filename="{number}.dcm"\r\n\r\n'.encode()
            )
            target.write(content)
            target.write(b"\r\n")
        target.write(f"--{boundary}--\r\n".encode())
    return body
