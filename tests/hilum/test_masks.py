"""Masks survive being packed, slice by slice."""

import io

import numpy as np
import pytest

from hilum.errors import UnknownSlice
from hilum.masks import pack_masks, read_mask


def test_each_slice_comes_back_as_it_went_in() -> None:
    random = np.random.default_rng(0)
    lungs = random.integers(0, 3, (3, 20, 30), np.uint8)
    lesions = random.integers(0, 3, (3, 20, 30), np.uint8)

    packed = pack_masks(lungs, lesions)

    for index in range(3):
        lung, lesion = read_mask(io.BytesIO(packed), index)
        assert np.array_equal(lung, lungs[index])
        assert np.array_equal(lesion, lesions[index])


@pytest.mark.parametrize("index", [-1, 2, 100000])
def test_a_slice_that_is_not_there_is_named(index: int) -> None:
    empty = np.zeros((2, 4, 4), np.uint8)

    with pytest.raises(UnknownSlice, match=f"no slice {index}; there are 0 to 1"):
        read_mask(io.BytesIO(pack_masks(empty, empty)), index)
