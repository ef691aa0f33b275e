# SPDX-License-Identifier: Apache-2.0
"""Examples to learn from: lung crops of single slices, with their lesions or without any."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import CLASSES, WINDOW_HU

CONTROL_WINDOW_HU = (-1000.0, 400.0)
"""The window of `ct-controls`: fat lies at gray level 162 and muscle at 194, -110 and 65 HU."""

LUNG_BELOW_HU = -500.0
"""Air and healthy lung lie below, soft tissue above."""

LUNG_AREA_MIN = 0.02
"""Share of the picture under which a slice counts as below or above the lungs, 0..1."""

PICTURES = (".png", ".jpg", ".jpeg")
"""Suffixes of slices; masks are PNG alone, since JPEG blurs their borders."""

MODES = ("L", "RGB", "P", "1")
"""Pillow's names of the pixels that are read: it would clip 16 bits to 8 without a word."""

WHITE = 255
"""What a mask without classes is painted in."""

LESION_AREA_MIN_PX = 12
"""Connected components smaller than this are strokes of the annotator's brush."""


@dataclass(frozen=True, slots=True)
class Example:
    """One slice, cropped to the lungs.

    Attributes:
        name: file stem, unique within its folder.
        image: [h, w], 0..1 over the window.
        labels: [h, w], 0 background, 1 ground-glass opacity, 2 consolidation.
    """

    name: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]


def read_labelled(folder: Path) -> list[Example]:
    """Read the pictures of `images/` with their `masks/*.png`, ordered by name.

    Masks hold 0 background, 1 ground-glass opacity, 2 consolidation; a mask of 0 and 255 has no
    classes and is read as 1.

    Raises:
        ConfigurationError: there are none, a mask is missing, or it does not fit its slice.
    """
    examples = [
        _labelled(path, folder / "masks" / f"{path.stem}.png")
        for path in picture_paths(folder / "images")
    ]
    if not examples:
        raise ConfigurationError(
            f"{folder}: no images/*{', images/*'.join(PICTURES)} found, expected at least one."
        )
    return examples


def check_names(slices: Sequence[Example]) -> None:
    """Refuse slices of one name: folds and records know a slice by its name alone."""
    name, times = Counter(one.name for one in slices).most_common(1)[0]
    if times > 1:
        raise ConfigurationError(
            f"Slice {name}: {times} slices have this name, expected one; "
            "names must differ between the folders too."
        )


def picture_paths(folder: Path) -> list[Path]:
    """Return the pictures of a folder, ordered by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)


def read_controls(folder: Path) -> list[Example]:
    """Read whole slices of chests without lesions, crop them to the lungs, drop those with none.

    Returns:
        Examples with empty labels, ordered by name, their gray levels moved to the networks'
        window.
    """
    slices = [(path.stem, read_gray(path)) for path in picture_paths(folder)]
    crops = [(name, crop_to_lungs(_rewindow(gray))) for name, gray in slices]
    return [
        Example(name, crop, np.zeros(crop.shape, np.uint8))
        for name, crop in crops
        if crop is not None
    ]


def read_gray(path: Path) -> NDArray[np.float32]:
    """Read a picture as gray levels [h, w], 0..1.

    Raises:
        ConfigurationError: it cannot be read, or has more than 8 bits or a mode of its own.
    """
    return np.asarray(_open(path).convert("L"), np.float32) / np.float32(255)


def crop_to_lungs(image: NDArray[np.float32], *, margin_px: int = 4) -> NDArray[np.float32] | None:
    """Cut the box around the air inside the body out of a whole slice.

    Args:
        image: [h, w], 0..1 over `WINDOW_HU`, a whole axial slice of a chest without lesions.
        margin_px: kept on each side.

    Returns:
        The crop, or None where the slice holds no lung.
    """
    inside = air_inside(image)
    if inside.mean() < LUNG_AREA_MIN:
        return None
    rows, columns = ndimage.find_objects(inside.astype(np.uint8))[0]
    return image[_grow(rows, margin_px), _grow(columns, margin_px)]


def air_inside(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the air that no edge of the picture touches: lungs, airways, bowel gas.

    Args:
        image: [h, w], 0..1 over `WINDOW_HU`.
    """
    low, high = WINDOW_HU
    air = image < (LUNG_BELOW_HU - low) / (high - low)
    # Air joined to a frame of air around the picture is outside the body.
    pieces, _ = ndimage.label(np.pad(air, 1, constant_values=True))
    enclosed = pieces[1:-1, 1:-1] > pieces[0, 0]
    inside: NDArray[np.bool_] = ndimage.binary_opening(enclosed, iterations=2)
    return inside


def components(labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Split a label map into instances: the connected components of each class.

    Args:
        labels: [h, w], 0 background, otherwise a class.

    Returns:
        Masks [n, h, w] of 0 and 1, and the class of each [n]; tiny ones are dropped.
    """
    masks: list[NDArray[np.uint8]] = []
    classes: list[int] = []
    for label in range(1, CLASSES):
        pieces, count = ndimage.label(labels == label, structure=np.ones((3, 3)))
        areas = np.bincount(pieces.ravel(), minlength=count + 1)
        kept = [piece for piece in range(1, count + 1) if areas[piece] >= LESION_AREA_MIN_PX]
        masks += [(pieces == piece).astype(np.uint8) for piece in kept]
        classes += [label] * len(kept)
    stack = np.stack(masks) if masks else np.zeros((0, *labels.shape), np.uint8)
    return stack, np.array(classes, np.int64)


def _labelled(path: Path, mask: Path) -> Example:
    if not mask.exists():
        raise ConfigurationError(f"{path}: its mask {mask} is missing.")
    example = Example(path.stem, read_gray(path), _labels(mask))
    if example.labels.shape != example.image.shape:
        raise ConfigurationError(
            f"{mask}: {_size(example.labels.shape)} px, expected {_size(example.image.shape)}, "
            "the size of its slice."
        )
    return example


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigurationError(
            f"{path}: not a readable picture ({type(error).__name__}), expected PNG or JPEG."
        ) from error
    if picture.mode not in MODES:
        raise ConfigurationError(
            f"{path}: mode {picture.mode}, {_size(picture.size[::-1])} px, expected 8-bit gray "
            f"or one of {', '.join(MODES)}."
        )
    return picture


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _labels(path: Path) -> NDArray[np.uint8]:
    picture = _open(path)
    # A palette's numbers are the classes; converting it to gray would take its colours.
    labels = np.array(picture if picture.mode == "P" else picture.convert("L"), np.uint8)
    found = np.unique(labels)
    if set(found) == {0, WHITE}:
        return (labels // WHITE).astype(np.uint8)
    if found[-1] >= CLASSES:
        raise ConfigurationError(
            f"{path}: classes {', '.join(map(str, found[:6]))}, expected 0 to {CLASSES - 1}, "
            f"or 0 and {WHITE}."
        )
    return labels


def _rewindow(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move gray levels from the controls' window to the networks'."""
    control_low, control_high = CONTROL_WINDOW_HU
    low, high = WINDOW_HU
    hu = control_low + gray * (control_high - control_low)
    rewindowed: NDArray[np.float32] = np.clip((hu - low) / (high - low), 0, 1)
    return rewindowed.astype(np.float32)


def _grow(span: slice, margin_px: int) -> slice:
    return slice(max(0, span.start - margin_px), span.stop + margin_px)
