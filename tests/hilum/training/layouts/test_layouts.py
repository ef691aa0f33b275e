from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import ConfigurationError
from hilum.training.layouts import read_examples
from tests.hilum.training.layouts.conftest import Marked, assert_same


def test_the_marked_lesion_lies_in_front_at_the_patients_right(marked: Marked) -> None:
    ill = [one for one in marked.examples if one.labels.any()]

    assert len(ill) == 3
    for one in ill:
        rows, columns = np.nonzero(one.labels)
        height, width = one.labels.shape
        assert rows.mean() < height / 2
        assert columns.mean() < width / 2
        # Lungs below the middle, spine and back at the bottom: the crop holds lung and rim alone.
        assert one.image.min() < 0.35


def test_pictures_with_masks_become_the_same_slices_as_the_volume(
    marked: Marked, tmp_path: Path
) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for one in marked.examples:
        gray = np.rint(one.image * 255).astype(np.uint8)
        Image.fromarray(gray).save(tmp_path / "images" / f"{one.name}.png")
        Image.fromarray(one.labels).save(tmp_path / "masks" / f"{one.name}.png")

    assert_same(read_examples(tmp_path), marked, tolerance=0.5 / 255 + 1e-6)


def test_every_slice_with_lung_of_a_volume_is_kept(marked: Marked) -> None:
    with_lung = np.flatnonzero(marked.phantom.lungs.any(axis=(1, 2)))

    names = [int(one.name.rpartition("_")[2]) for one in marked.examples]

    assert set(names) <= set(with_lung)
    assert len(names) > 0.8 * len(with_lung)


def test_a_folder_of_none_of_the_layouts_is_told_the_three(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")

    with pytest.raises(ConfigurationError, match=r"no known layout .*\(1\).*\(2\).*\(3\) DICOM"):
        read_examples(tmp_path)


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        Image.new("L", (6, 4), 1).save(tmp_path / part / "a.png")
    Image.new("L", (6, 4), 1).save(tmp_path / "images" / "a.jpg")

    with pytest.raises(ConfigurationError, match="Slice a: 2 slices have this name, expected one"):
        read_examples(tmp_path)
