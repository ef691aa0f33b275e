# SPDX-License-Identifier: Apache-2.0
"""The phantom: the voxels of a synthetic chest, with their truth beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.phantom.chest import Effusion, Lobe, add_effusion, build, fill_lobe
from hilum.phantom.dicom import slice_datasets
from hilum.phantom.lesions import COVID_LESIONS, Lesion, plant
from hilum.phantom.picture import take_picture
from hilum.phantom.space import Space
from hilum.phantom.trees import grow_trees
from hilum.volume import Volume


@dataclass(frozen=True, slots=True)
class Phantom:
    """A chest whose answers are known.

    Attributes:
        voxels: Hounsfield units, int16 [z, y, x]; z grows towards the head.
        affine: 4 x 4, maps (z, y, x, 1) to LPS millimetres.
        lungs: uint8 [z, y, x]: 0 outside, RIGHT_LUNG, LEFT_LUNG; lesions belong to the lung.
        lesions: uint8 [z, y, x]: 0 none, otherwise the label's value in the catalogue.
        planted: the lesions asked for.
    """

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    lungs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    planted: tuple[Lesion, ...]

    @property
    def volume(self) -> Volume:
        """The phantom as a reader would hand it on."""
        names = tuple(str(dataset.SOPInstanceUID) for dataset in reversed(self.datasets()))
        return Volume(self.voxels, self.affine, names)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def lung_ml(self) -> float:
        """Volume of both lungs in millilitres, lesions included."""
        return float(np.count_nonzero(self.lungs)) * self.voxel_ml

    @property
    def lesion_ml(self) -> float:
        """Volume of all lesions in millilitres."""
        return float(np.count_nonzero(self.lesions)) * self.voxel_ml

    @property
    def lesion_share(self) -> float:
        """Lesion volume over lung volume, 0..1."""
        return self.lesion_ml / self.lung_ml

    def datasets(self) -> list[Dataset]:
        """Return the series in memory, topmost slice first."""
        return slice_datasets(self.voxels, self.affine)

    def write_dicom(self, folder: Path) -> list[Path]:
        """Write the series into a folder, one file a slice; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for dataset in self.datasets():
            path = folder / f"{dataset.InstanceNumber:04d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths


def make_phantom(
    seed: int = 0,
    *,
    slices: int = 44,
    size_px: int = 512,
    lesions: Sequence[Lesion] = COVID_LESIONS,
    consolidated_lobe: bool = False,
    airless: Sequence[Lobe] = (),
    effusion: Effusion | None = None,
    bowel_gas: bool = False,
) -> Phantom:
    """Return a synthetic chest of 308 mm height in a field of view of 400 mm.

    Args:
        seed: the same seed and arguments give the same chest, bit for bit.
        slices: fewer are thicker.
        size_px: rows and columns; fewer are larger.
        lesions: what to plant, by volume.
        consolidated_lobe: fill the right lower lobe as well; it counts as a lesion.
        airless: fill these lobes likewise.
        effusion: put fluid beside a lung; it is neither lung nor lesion.
        bowel_gas: blow up the colon below the diaphragm, where gas is easily taken for lung.
    """
    # Four streams, so that the same seed gives the same body with and without lesions.
    shapes, diseases, branches, noise = np.random.default_rng(seed).spawn(4)
    space = Space(slices, size_px)
    chest = build(space, shapes, bowel_gas=bowel_gas)
    if effusion is not None:
        add_effusion(chest, space, effusion)
    planted = plant(space, chest.lungs, chest.depth_mm, lesions, diseases)
    for lobe in ("right lower", *airless) if consolidated_lobe else airless:
        fill_lobe(chest, planted, lobe)
    trees = grow_trees(space, chest.lungs, branches)
    voxels = take_picture(space, chest, planted, trees, noise)
    return Phantom(voxels, space.affine, chest.lungs, planted.labels, tuple(lesions))
