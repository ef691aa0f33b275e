# SPDX-License-Identifier: Apache-2.0
"""NIfTI volumes with masks, as public data sets of COVID-19 publish them.

| data set | volumes | masks | classes |
|---|---|---|---|
| COVID-19-CT-Seg | `COVID-19-CT-Seg_20cases/` | `Infection_Mask/`, the same names | infection |
| MosMedData | `studies/CT-1/study_0255.nii.gz` | `masks/study_0255_mask.nii.gz` | infection |
| MedSeg | `tr_im.nii.gz`, one patient a slice | `tr_mask.nii.gz` | 1, 2, 3 (effusion) |

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
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from hilum.dicom.pixels import HIGHEST_HU, LOWEST_HU
from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import CLASSES, WINDOW_HU
from hilum.training.data import WHITE, Example
from hilum.training.layouts.volumes import cut_slices
from hilum.volume import Volume

ENDINGS = (".nii.gz", ".nii")

UPRIGHT = "LPS"
"""Axes that grow to the patient's left, to the back and to the head."""

STORED: Mapping[str, str] = MappingProxyType(
    {"coronacases": "LAS", "study_": "LAS", "radiopaedia": "LPS", "tr_im": "LPS"}
)
"""How the published sets store their arrays, by how their volumes' names begin. Some of these were
made of JPEG files, and headers of such volumes say nothing that can be relied on. Other volumes are
turned by their headers."""

INDEPENDENT = ("tr_im",)
"""Volumes that stack slices of different patients."""

GRAY_MAX = 255
"""Volumes of 0..255 are pictures in the lung window -1250..250 HU, so says COVID-19-CT-Seg of its
Radiopaedia half, and so it recommends for the other."""

EFFUSION = 3
"""MedSeg's third class."""

_FILLERS = re.compile(r"_org|_covid-19-pneumonia|-dcm|_mask|_msk|(?<=^tr)_im")
"""What the names of a volume and of its mask differ in, over all editions of the sets."""

_MASK_FOLDER = re.compile(r"(infection_)?masks?", re.IGNORECASE)
_OTHER_MASK = re.compile(r"lung.*mask", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A volume and its mask.

    Attributes:
        name: of the volume.
        volume: its file.
        mask: the mask's.
    """

    name: str
    volume: Path
    mask: Path


def pairs(folder: Path) -> list[Pair]:
    """Find every volume that has a mask; volumes without are passed over."""
    files = sorted(path for path in folder.rglob("*.nii*") if path.name.endswith(ENDINGS))
    kept = [path for path in files if not _is_other_mask(path.relative_to(folder))]
    masks = {_case(path): path for path in kept if _is_mask(path.relative_to(folder))}
    volumes = [path for path in kept if path not in set(masks.values())]
    return [Pair(_stem(path), path, masks[_case(path)]) for path in volumes if _case(path) in masks]


def read_nifti(folder: Path) -> list[Example]:
    """Read every slice with lung of every volume that has a mask."""
    return [example for pair in pairs(folder) for example in _read_pair(pair)]


def _read_pair(pair: Pair) -> list[Example]:
    volume, spacing_mm = _load(pair.volume, pair.name)
    painted, _ = _load(pair.mask, pair.name)
    if painted.shape != volume.shape:
        raise ConfigurationError(
            f"{pair.mask}: {painted.shape} voxels [z, y, x], expected {volume.shape}, those of "
            f"{pair.volume.name}."
        )
    hu, labels = _hounsfield(volume), _classes(painted, pair.mask)
    if not pair.name.startswith(INDEPENDENT):
        return cut_slices(pair.name, _as_volume(hu, spacing_mm), labels)
    return [
        Example(f"{pair.name}_{z:03d}", example.image, example.labels)
        for z in range(len(hu))
        for example in cut_slices("", _as_volume(hu[z : z + 1], spacing_mm), labels[z : z + 1])
    ]


def _load(path: Path, name: str) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Return an image upright [z, y, x], and its spacing in the same order."""
    image = nibabel.load(path)
    if not isinstance(image, SpatialImage) or len(image.shape) != len(UPRIGHT):
        raise ConfigurationError(f"{path}: {type(image).__name__}, expected one of three axes.")
    found = next((axes for start, axes in STORED.items() if name.startswith(start)), None)
    stored = (
        orientations.axcodes2ornt(tuple(found))
        if found
        else orientations.io_orientation(image.affine)
    )
    turn = orientations.ornt_transform(stored, orientations.axcodes2ornt(tuple(UPRIGHT)))
    voxels = orientations.apply_orientation(np.asarray(image.dataobj, np.float32), turn)
    sizes = np.array(image.header.get_zooms()[:3], float)[np.argsort(turn[:, 0])]
    x_mm, y_mm, z_mm = (float(size) for size in sizes)
    return voxels.transpose(2, 1, 0), (z_mm, y_mm, x_mm)


def _hounsfield(voxels: NDArray[np.float32]) -> NDArray[np.int16]:
    low, high = WINDOW_HU
    if voxels.min() >= 0 and voxels.max() <= GRAY_MAX:
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


def _stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$", "", path.name)


def _case(path: Path) -> str:
    return _FILLERS.sub("", _stem(path).lower()).replace("-", "_")


def _is_mask(path: Path) -> bool:
    return _stem(path).lower().endswith("_mask") or any(
        _MASK_FOLDER.fullmatch(part) for part in path.parts[:-1]
    )


def _is_other_mask(path: Path) -> bool:
    return any(_OTHER_MASK.search(part) for part in path.parts)
