# SPDX-License-Identifier: Apache-2.0
"""NIfTI volumes with masks, as public data sets of COVID-19 publish them.

| data set | volumes | masks | classes |
|---|---|---|---|
| COVID-19-CT-Seg | `COVID-19-CT-Seg_20cases/` | `Infection_Mask/`, the same names | infection |
| MosMedData | `studies/CT-1/study_0255.nii.gz` | `masks/study_0255_mask.nii.gz` | infection |
| MedSeg | `tr_im.nii.gz`, some 60 patients | `tr_mask.nii.gz` | 1, 2, 3 (effusion) |

Infection without classes is read as ground-glass opacity; pleural effusion is no lesion here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import nibabel
import numpy as np
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from hilum.dicom.header import BROKEN
from hilum.dicom.pixels import HIGHEST_HU, LOWEST_HU
from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import CLASSES, WINDOW_HU
from hilum.training.data import WHITE, Example
from hilum.training.layouts.pairs import Pair, pairs, stem
from hilum.training.layouts.volumes import cut_slices
from hilum.volume import Volume

UPRIGHT = "LPS"
"""Axes that grow to the patient's left, to the back and to the head."""

STORED: Mapping[str, str] = MappingProxyType(
    {
        r"coronacases(_org)?_\d{3}": "LAS",
        r"study_\d{4}": "LAS",
        r"radiopaedia_(org_covid-19-pneumonia-)?\d+_\d+_\d+(-dcm)?": "LPS",
        r"tr_im": "LPS",
    }
)
"""How the published sets store their arrays, by the whole names of their volumes. Some of these
were made of JPEG files, so a header of `UNKNOWN` says nothing that can be relied on, and masks lie
as their volumes do whatever their own headers say. Other volumes are turned by their headers."""

UNKNOWN = (None, "RAS")
"""Axes of headers that nobody filled in: none, or those of an identity matrix."""

INDEPENDENT = re.compile(r"tr_im")
"""Volumes that stack slices of different patients."""

GRID_TOLERANCE_MM = 0.05
"""How far the grids of a volume and its mask may lie apart: headers round to 32 bits."""

GRAY_MAX = 255
"""Volumes of 0..255 are pictures in the lung window -1250..250 HU, so says COVID-19-CT-Seg of its
Radiopaedia half, and so it recommends for the other."""

EFFUSION = 3
"""MedSeg's third class."""

_UNREADABLE = (*BROKEN, ImageFileError, HeaderDataError)
"""What nibabel raises on files that are no NIfTI, or were once."""


def read_nifti(folder: Path) -> list[Example]:
    """Read every slice with lung of every volume that has a mask.

    Raises:
        ConfigurationError: a file cannot be read, a mask does not lie on its volume, or voxels
            are neither Hounsfield units nor gray levels.
    """
    return [example for pair in pairs(folder) for example in _read_pair(pair)]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A file as it is kept.

    Attributes:
        path: the file.
        voxels: along the axes of the file.
        affine: 4 x 4, to RAS millimetres, as the header says.
        sizes_mm: of a voxel along each axis.
        axes: along which the header says the array lies; None where it does not.
    """

    path: Path
    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    sizes_mm: NDArray[np.float64]
    axes: str | None


def _read_pair(pair: Pair) -> list[Example]:
    stored, drawn = _load(pair.volume), _load(pair.mask)
    volume, spacing_mm = _upright(stored, _axes(stored, stored))
    painted, _ = _upright(drawn, _axes(drawn, stored))
    if painted.shape != volume.shape:
        raise ConfigurationError(
            f"{pair.mask}: {painted.shape} voxels [z, y, x], expected {volume.shape}, those of "
            f"{pair.volume.name}."
        )
    _check_grid(drawn, stored)
    hu, labels = _hounsfield(volume, pair.volume), _classes(painted, pair.mask)
    if not INDEPENDENT.fullmatch(stem(pair.volume)):
        return cut_slices(pair.name, _as_volume(hu, spacing_mm), labels)
    return [
        Example(f"{pair.name}_{z:03d}", example.image, example.labels)
        for z in range(len(hu))
        for example in cut_slices("", _as_volume(hu[z : z + 1], spacing_mm), labels[z : z + 1])
    ]


def _load(path: Path) -> _Stored:
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image) or len(image.shape) != len(UPRIGHT):
            raise ConfigurationError(f"{path}: {type(image).__name__}, expected one of three axes.")
        voxels = np.asarray(image.dataobj, np.float32)
    except _UNREADABLE as error:
        raise ConfigurationError(
            f"{path}: not a readable NIfTI volume ({type(error).__name__}: {error})."
        ) from error
    if not np.isfinite(voxels).all():
        raise ConfigurationError(
            f"{path}: voxels without a number (NaN or infinite), expected none."
        )
    sizes_mm = np.array(image.header.get_zooms(), float)
    if not (np.isfinite(sizes_mm).all() and sizes_mm.min() > 0):
        raise ConfigurationError(f"{path}: voxels of {sizes_mm} mm, expected sizes above 0.")
    return _Stored(path, voxels, image.affine, sizes_mm, _header_axes(image))


def _header_axes(image: nibabel.Nifti1Image) -> str | None:
    said = image.header["sform_code"] or image.header["qform_code"]
    if not said or not np.isfinite(image.affine).all():
        return None
    codes = orientations.aff2axcodes(image.affine)
    return None if None in codes else "".join(codes)


def _axes(image: _Stored, volume: _Stored) -> str:
    """Return along which axes an array lies: as published, else as its own header says."""
    if published := _published(volume):
        return published if volume.axes in UNKNOWN else str(volume.axes)
    if image.axes is None:
        raise ConfigurationError(
            f"{image.path}: a header without orientation (sform and qform 0), expected axes."
        )
    return image.axes


def _published(volume: _Stored) -> str | None:
    name = stem(volume.path).lower()
    return next((axes for names, axes in STORED.items() if re.fullmatch(names, name)), None)


def _check_grid(drawn: _Stored, volume: _Stored) -> None:
    """Refuse a mask that lies elsewhere in the patient than its volume."""
    if _published(volume):
        return
    found, expected = (_upright_affine(image) for image in (drawn, volume))
    if not np.allclose(found, expected, rtol=0, atol=GRID_TOLERANCE_MM):
        place = np.abs(found - expected).max()
        raise ConfigurationError(
            f"{drawn.path}: its affine differs from that of {volume.path.name} by {place:.2f} mm, "
            f"expected at most {GRID_TOLERANCE_MM}."
        )


def _upright_affine(image: _Stored) -> NDArray[np.float64]:
    back = orientations.inv_ornt_aff(_turn(str(image.axes)), image.voxels.shape)
    affine: NDArray[np.float64] = image.affine @ back
    return affine


def _upright(image: _Stored, axes: str) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Return an array upright [z, y, x], and its spacing in the same order."""
    turn = _turn(axes)
    voxels = orientations.apply_orientation(image.voxels, turn)
    x_mm, y_mm, z_mm = (float(size) for size in image.sizes_mm[np.argsort(turn[:, 0])])
    return voxels.transpose(2, 1, 0), (z_mm, y_mm, x_mm)


def _turn(axes: str) -> NDArray[np.float64]:
    """Return nibabel's orientation that makes an array upright."""
    turn: NDArray[np.float64] = orientations.ornt_transform(
        orientations.axcodes2ornt(tuple(axes)), orientations.axcodes2ornt(tuple(UPRIGHT))
    )
    return turn


def _hounsfield(voxels: NDArray[np.float32], path: Path) -> NDArray[np.int16]:
    lowest, highest = voxels.min(), voxels.max()
    if highest <= 1 or (lowest >= 0 and highest > GRAY_MAX):
        raise ConfigurationError(
            f"{path}: voxels of {lowest:g} to {highest:g}, expected Hounsfield units, which are "
            f"negative in air, or gray levels of 0 to {GRAY_MAX}."
        )
    low, high = WINDOW_HU
    if lowest >= 0:
        return np.rint(low + voxels / GRAY_MAX * (high - low)).astype(np.int16)
    return np.clip(np.rint(voxels), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _classes(painted: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    labels = np.rint(painted).astype(np.int64)
    if set(np.unique(labels)) == {0, WHITE}:
        labels //= WHITE
    if labels.min() < 0 or labels.max() > EFFUSION:
        raise ConfigurationError(
            f"{path}: classes {labels.min()} to {labels.max()}, expected 0 to {EFFUSION}, "
            f"or 0 and {WHITE}."
        )
    return np.where(labels < CLASSES, labels, 0).astype(np.uint8)


def _as_volume(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> Volume:
    z_mm, y_mm, x_mm = spacing_mm
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = z_mm, y_mm, x_mm, 1.0
    return Volume(hu, affine, ("",) * len(hu))
