"""A researcher's viewer puts the mask where the scanner saw it."""

import gzip
import io

import nibabel
import numpy as np

from hilum.nifti import stream_volume, write_nifti


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


def test_a_volume_lies_on_the_grid_of_its_mask() -> None:
    voxels = np.arange(-60, 60, dtype=np.int16).reshape(4, 5, 6)
    affine = np.array([[0, 0, 0.7, -100], [0, 0.8, 0, -50], [5, 0, 0, 20], [0, 0, 0, 1.0]])
    mask = write_nifti(np.zeros(voxels.shape, np.uint8), affine)

    data = gzip.decompress(b"".join(stream_volume(io.BytesIO(mask), iter(voxels))))

    volume = nibabel.Nifti1Image.from_bytes(data)
    grid = nibabel.Nifti1Image.from_bytes(gzip.decompress(mask))
    assert volume.get_data_dtype() == np.int16
    assert np.array_equal(volume.affine, grid.affine)
    assert np.array_equal(np.asarray(volume.dataobj).transpose(2, 1, 0), voxels)
