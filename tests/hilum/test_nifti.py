"""A researcher's viewer puts the mask where the scanner saw it."""

import gzip

import nibabel
import numpy as np

from hilum.nifti import write_nifti


def test_a_voxel_keeps_its_place_in_the_patient() -> None:
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1, 2, 3] = 7
    affine = np.array([[0, 0, 0.7, -100], [0, 0.8, 0, -50], [5, 0, 0, 20], [0, 0, 0, 1.0]])

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(write_nifti(mask, affine)))

    assert image.get_fdata()[3, 2, 1] == 7
    right, anterior, superior = (image.affine @ [3, 2, 1, 1])[:3]
    left, posterior, head = (affine @ [1, 2, 3, 1])[:3]
    assert np.allclose([right, anterior, superior], [-left, -posterior, head])


def test_the_same_mask_is_the_same_file() -> None:
    mask = np.ones((2, 3, 3), np.uint8)

    assert write_nifti(mask, np.eye(4)) == write_nifti(mask, np.eye(4))
