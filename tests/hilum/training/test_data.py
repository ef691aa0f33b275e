from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.data import (
    components,
    crop_to_lungs,
    read_controls,
    read_gray,
    read_labelled,
)

AIR_HU, TISSUE_HU = -870.0, 40.0


def _chest(size_px: int = 128) -> NDArray[np.float32]:
    """A body of soft tissue in a room of air, with two lungs at rows 40-89, columns 30-97."""
    hu = np.full((size_px, size_px), AIR_HU)
    hu[20:110, 15:113] = TISSUE_HU
    hu[40:90, 30:55] = AIR_HU
    hu[40:90, 73:98] = AIR_HU
    return ((hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])).astype(np.float32)


def test_slices_are_read_with_their_masks_in_order_of_names(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, gray in (("002", 255), ("001", 51)):
        Image.new("L", (6, 4), gray).save(tmp_path / "images" / f"{name}.png")
        Image.new("L", (6, 4), 2).save(tmp_path / "masks" / f"{name}.png")

    first, second = read_labelled(tmp_path)

    assert (first.name, second.name) == ("001", "002")
    assert first.image.shape == (4, 6)
    assert first.image[0, 0] == pytest.approx(0.2)
    assert (first.labels == 2).all()


def test_a_folder_without_slices_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        read_labelled(tmp_path)


def test_controls_move_to_the_networks_window_and_lose_what_is_not_lung(tmp_path: Path) -> None:
    hu = _chest() * (WINDOW_HU[1] - WINDOW_HU[0]) + WINDOW_HU[0]
    gray = np.clip((hu + 1000) / 1400 * 255, 0, 255).astype(np.uint8)
    Image.fromarray(gray).save(tmp_path / "chest.png")
    Image.fromarray(np.full_like(gray, 190)).save(tmp_path / "belly.png")

    (control,) = read_controls(tmp_path)

    assert control.name == "chest"
    assert control.image.shape == (50 + 8, 68 + 8)
    assert control.image[4, 4] == pytest.approx((AIR_HU + 1250) / 1500, abs=0.01)
    assert not control.labels.any()


def test_the_crop_is_the_box_of_both_lungs_with_its_margin() -> None:
    crop = crop_to_lungs(_chest(), margin_px=2)

    assert crop is not None
    np.testing.assert_array_equal(crop, _chest()[38:92, 28:100])


def test_a_slice_without_lung_has_no_crop() -> None:
    assert crop_to_lungs(np.full((64, 64), 0.86, np.float32)) is None


def test_instances_are_the_connected_pieces_of_each_class_without_brush_strokes() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[0:4, 0:4] = 1
    labels[4:8, 4:8] = 1  # touches the first at a corner
    labels[10:14, 10:14] = 2
    labels[18, 18] = 1  # a stroke

    masks, classes = components(labels)

    assert classes.tolist() == [1, 2]
    assert masks.sum(axis=(1, 2)).tolist() == [32, 16]


def test_a_clean_slice_has_no_instances() -> None:
    masks, classes = components(np.zeros((5, 7), np.uint8))

    assert masks.shape == (0, 5, 7)
    assert classes.shape == (0,)


def _write(folder: Path, mask: NDArray[np.uint8], *, image: str = "a.png") -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir()
    Image.new("L", (6, 4), 51).save(folder / "images" / image)
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    return folder


def test_a_mask_of_black_and_white_is_ground_glass(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:5] = 255

    (example,) = read_labelled(_write(tmp_path, mask, image="a.jpg"))

    np.testing.assert_array_equal(example.labels, mask > 0)


def test_a_mask_of_a_palette_keeps_its_numbers(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[0, 0], mask[3, 5] = 1, 2
    _write(tmp_path, mask)
    colored = Image.fromarray(mask).convert("P")
    colored.putdata(mask.ravel().tolist())
    colored.putpalette([9, 9, 9, 200, 10, 10, 10, 200, 10])
    colored.save(tmp_path / "masks" / "a.png")

    (example,) = read_labelled(tmp_path)

    np.testing.assert_array_equal(example.labels, mask)


def test_a_mask_of_unknown_classes_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, np.full((4, 6), 3, np.uint8))

    with pytest.raises(
        ConfigurationError, match=r"a.png: classes 3, expected 0 to 2, or 0 and 255"
    ):
        read_labelled(tmp_path)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, np.zeros((6, 4), np.uint8))

    with pytest.raises(ConfigurationError, match=r"a.png: 4 x 6 px, expected 6 x 4"):
        read_labelled(tmp_path)


def test_a_slice_without_its_mask_is_named(tmp_path: Path) -> None:
    (_write(tmp_path, np.zeros((4, 6), np.uint8)) / "masks" / "a.png").unlink()

    with pytest.raises(ConfigurationError, match=r"its mask .*masks/a.png is missing"):
        read_labelled(tmp_path)


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_picture_of_sixteen_bits_is_refused(tmp_path: Path, part: str) -> None:
    _write(tmp_path, np.zeros((4, 6), np.uint8))
    Image.fromarray(np.full((4, 6), 2000, np.uint16)).save(tmp_path / part / "a.png")

    with pytest.raises(
        ConfigurationError, match=rf"{part}/a.png: mode I;16, 6 x 4 px, expected 8-bit gray"
    ):
        read_labelled(tmp_path)


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("kept", [0, 20, 45])
def test_a_picture_cut_short_is_refused(tmp_path: Path, part: str, kept: int) -> None:
    _write(tmp_path, np.zeros((4, 6), np.uint8))
    path = tmp_path / part / "a.png"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(ConfigurationError, match=f"{part}/a.png: not a readable picture"):
        read_labelled(tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "P", "1"])
def test_gray_is_read_from_other_modes_of_eight_bits(tmp_path: Path, mode: str) -> None:
    Image.new("L", (6, 4), 255).convert(mode).save(tmp_path / "a.png")

    assert (read_gray(tmp_path / "a.png") == 1).all()
