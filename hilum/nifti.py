# SPDX-License-Identifier: Apache-2.0
"""Masks as NIfTI, the format of researchers."""

import gzip

import nibabel
import numpy as np
from numpy.typing import NDArray


def write_nifti(mask: NDArray[np.uint8], affine: NDArray[np.float64]) -> bytes:
    """Return a mask as gzipped NIfTI-1.

    Args:
        mask: [z, y, x].
        affine: maps (z, y, x, 1) to LPS millimetres, as in `Volume`.

    Source:
        NIfTI-1 wants [x, y, z] and RAS+; LPS to RAS turns the first two axes round.
    """
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(mask.transpose(2, 1, 0), ras)
    image.header.set_xyzt_units("mm")
    # No time stamp: the same mask is the same file, whatever the clock says.
    return gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)
