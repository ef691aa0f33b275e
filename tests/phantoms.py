"""Chests with known answers as DICOM, whole and with every defect a reader must meet.

A defect is a function from a series in memory to a series in memory; `write` puts one on disk:

    write(tmp_path, missing(chest().datasets(), [11]))
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from hilum.phantom import COVID_LESIONS, Effusion, Lesion, Lobe, Phantom, make_phantom

SLICES = 24
SIZE_PX = 192


@cache
def chest(seed: int = 0, lesions: tuple[Lesion, ...] = COVID_LESIONS) -> Phantom:
    """Return a small chest, made in under a second and once per process; never write to it."""
    return make_phantom(seed, slices=SLICES, size_px=SIZE_PX, lesions=lesions)


def healthy(seed: int = 0) -> Phantom:
    """Return a small chest without lesions."""
    return chest(seed, ())


@cache
def airless(*lobes: Lobe, seed: int = 0) -> Phantom:
    """Return a small chest whose only lesions are lobes without air."""
    return make_phantom(seed, slices=SLICES, size_px=SIZE_PX, lesions=(), airless=lobes)


@cache
def effused(effusion: Effusion) -> Phantom:
    """Return a small chest with fluid beside a lung, and no lesion."""
    return make_phantom(slices=SLICES, size_px=SIZE_PX, lesions=(), effusion=effusion)


def oblong(phantom: Phantom) -> Phantom:
    """Return a chest of which every second column is left: pixels are twice as wide as high."""
    affine = phantom.affine.copy()
    affine[:3, 2] *= 2
    kept = [image[..., ::2].copy() for image in (phantom.voxels, phantom.lungs, phantom.lesions)]
    return Phantom(kept[0], affine, kept[1], kept[2], phantom.planted)


def write(folder: Path, datasets: Iterable[Dataset]) -> Path:
    """Write one file a dataset, named in the order given; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    start = len(list(folder.iterdir()))
    for number, dataset in enumerate(datasets, start):
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def write_chest(folder: Path, phantom: Phantom | None = None) -> Path:
    """Write a whole series; returns the folder."""
    return write(folder, (phantom or chest()).datasets())


def zipped(archive: Path, datasets: Iterable[Dataset]) -> Path:
    """Write a series as a zip archive; returns its path."""
    folder = write(archive.with_suffix(".dcm.d"), datasets)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.iterdir()):
            target.write(path, f"study/{path.name}")
    return archive


def zip_chest(archive: Path, phantom: Phantom | None = None) -> Path:
    """Write a whole series as a zip archive; returns its path."""
    return zipped(archive, (phantom or chest()).datasets())


# ── What may be wrong with a series ───────────────────────────────────────────────────────────


def missing(datasets: Sequence[Dataset], numbers: Iterable[int]) -> list[Dataset]:
    """Leave out slices by instance number."""
    gone = set(numbers)
    return [dataset for dataset in datasets if dataset.InstanceNumber not in gone]


def reversed_numbers(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Number the slices from the feet, as an examination feet first does."""
    for number, dataset in enumerate(reversed(datasets), 1):
        dataset.InstanceNumber = number
        dataset.PatientPosition = "FFS"
    return list(datasets)


def repeated(datasets: Sequence[Dataset], number: int) -> list[Dataset]:
    """Send one slice twice, byte for byte."""
    return [*datasets, datasets[number - 1]]


def clashing(datasets: Sequence[Dataset], number: int) -> list[Dataset]:
    """Send another image at the place of one slice."""
    other = deepcopy(datasets[number - 1])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    other.PixelData = bytes(len(other.PixelData))
    return [*datasets, other]


def without(datasets: Sequence[Dataset], *keywords: str) -> list[Dataset]:
    """Take attributes out of every header."""
    for dataset in datasets:
        for keyword in keywords:
            delattr(dataset, keyword)
    return list(datasets)


def setting(
    datasets: Sequence[Dataset], numbers: Iterable[int] | None, **values: object
) -> list[Dataset]:
    """Set attributes of the slices with these instance numbers, of all where None."""
    chosen = None if numbers is None else set(numbers)
    for dataset in datasets:
        if chosen is None or dataset.InstanceNumber in chosen:
            for keyword, value in values.items():
                setattr(dataset, keyword, value)
    return list(datasets)


def coronal(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Turn the series upright."""
    for dataset in datasets:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [x, z, y]
    return list(datasets)


def mixed_orientations(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Turn the last third of the series upright."""
    cut = len(datasets) * 2 // 3
    return [*datasets[:cut], *coronal(datasets[cut:])]


def tilted(datasets: Sequence[Dataset], degrees: float) -> list[Dataset]:
    """Lean the gantry: the planes turn, the table still moves along the body."""
    angle = np.radians(degrees)
    for dataset in datasets:
        dataset.ImageOrientationPatient = [
            1, 0, 0, 0, round(float(np.cos(angle)), 8), round(float(np.sin(angle)), 8),
        ]  # fmt: skip
        dataset.GantryDetectorTilt = degrees
    return list(datasets)


def turned(datasets: Sequence[Dataset], *, rows: int, columns: int) -> list[Dataset]:
    """Store the same anatomy with rows or columns running the other way (-1)."""
    for dataset in datasets:
        image, position = pixels(dataset), np.array(dataset.ImagePositionPatient, float)
        down_mm, across_mm = dataset.PixelSpacing
        if columns < 0:
            image, position[0] = image[:, ::-1], position[0] + across_mm * (dataset.Columns - 1)
        if rows < 0:
            image, position[1] = image[::-1], position[1] + down_mm * (dataset.Rows - 1)
        dataset.PixelData = image.tobytes()
        dataset.ImagePositionPatient = [round(float(value), 4) for value in position]
        dataset.ImageOrientationPatient = [columns, 0, 0, 0, rows, 0]
    return list(datasets)


def transposed(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Store the same anatomy with rows for columns."""
    for dataset in datasets:
        dataset.PixelData = pixels(dataset).T.tobytes()
        dataset.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    return list(datasets)


def cropped(datasets: Sequence[Dataset], number: int) -> list[Dataset]:
    """Keep the upper half of one slice."""
    dataset = datasets[number - 1]
    dataset.PixelData = pixels(dataset)[: dataset.Rows // 2].tobytes()
    dataset.Rows //= 2
    return list(datasets)


def truncated(datasets: Sequence[Dataset], number: int) -> list[Dataset]:
    """Cut the pixels of one slice short."""
    dataset = datasets[number - 1]
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 3 // 2 * 2]
    return list(datasets)


ENCODERS: Mapping[UID, Callable[[NDArray[Any]], bytes]] = MappingProxyType(
    {
        JPEGLossless: imagecodecs.ljpeg_encode,
        JPEGLosslessSV1: imagecodecs.ljpeg_encode,
        **dict.fromkeys(
            (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL),
            partial(imagecodecs.htj2k_encode, reversible=True),
        ),
    }
)
"""What pydicom cannot write."""

LOSSLESS = (RLELossless, JPEG2000Lossless, JPEGLSLossless, *ENCODERS)
"""Every compressed transfer syntax that a test can write and read back to the bit."""


def compressed(datasets: Sequence[Dataset], syntax: UID = RLELossless) -> list[Dataset]:
    """Encode the pixels in another transfer syntax, without loss."""
    for dataset in datasets:
        if syntax in ENCODERS:
            _encode(dataset, syntax)
        else:
            dataset.compress(syntax, generate_instance_uid=False)
    return list(datasets)


def _encode(dataset: Dataset, syntax: UID) -> None:
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([ENCODERS[syntax](frame) for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax


def as_series(datasets: Sequence[Dataset], **values: object) -> list[Dataset]:
    """Give copies of the slices another series of the same study, with these attributes."""
    series_uid = generate_uid()
    copies = [deepcopy(dataset) for dataset in datasets]
    for dataset in copies:
        dataset.SeriesInstanceUID = series_uid
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return setting(copies, None, **values)


def as_study(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Give copies of the slices to another study."""
    study_uid = generate_uid()
    return as_series(datasets, StudyInstanceUID=study_uid)


def localizer(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return a scout image of the same study."""
    middle = datasets[len(datasets) // 2]
    return as_series(
        coronal([deepcopy(middle)]),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        SeriesDescription="Scout",
        SeriesNumber=1,
        InstanceNumber=1,
    )


def pixels(dataset: Dataset) -> NDArray[np.uint16]:
    """Return the stored values of an uncompressed slice, [y, x]."""
    return np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
