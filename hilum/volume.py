# SPDX-License-Identifier: Apache-2.0
"""A CT series as one regular grid of Hounsfield units, placed in the patient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LESION_WINDOW_HU = (-1250.0, 250.0)
"""Lung window of the lesion networks: level -500, width 1500, the one they were trained on."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A CT series as one regular grid.

    Attributes:
        voxels: Hounsfield units, int16 [z, y, x], upright: z grows to the head, y to the back,
            x to the patient's left, however the slices were stored.
        affine: 4 x 4, maps (z, y, x, 1) to LPS millimetres in the patient's frame of reference.
        instance_uids: SOP instance UID of each slice, [z].
        warnings: what was odd about the series and how it was handled.
        frame_numbers: which frame of its instance each slice is, from 1, [z]; empty where each
            instance is one slice.
    """

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    instance_uids: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along z, y, x.

        Along z it is the distance between slice planes, which on a tilted gantry is shorter than
        the step between slice origins; volumes are measured with it.
        """
        rows, columns = self.affine[:3, 1], self.affine[:3, 2]
        normal = np.cross(columns, rows)
        normal /= np.linalg.norm(normal)
        return (
            float(abs(self.affine[:3, 0] @ normal)),
            float(np.linalg.norm(rows)),
            float(np.linalg.norm(columns)),
        )

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        z, y, x = self.spacing_mm
        return z * y * x / 1000.0


def apply_window(
    voxels: NDArray[np.int16], window_hu: tuple[float, float] = LESION_WINDOW_HU
) -> NDArray[np.float32]:
    """Scale Hounsfield units so that the window's ends are 0 and 1, clipped; any shape."""
    low, high = window_hu
    scaled = (voxels.astype(np.float32) - low) / (high - low)
    return np.clip(scaled, 0.0, 1.0, out=scaled)
