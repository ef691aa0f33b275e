# SPDX-License-Identifier: Apache-2.0
"""Dense lobes painted into slices: the lesion that is rare among them, and missed for that."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.data import LUNG_BELOW_HU, Example

CONSOLIDATION: Final = 2
"""The class of a lung without air."""

PIECE_AREA_MIN: Final = 0.04
"""Share of the picture under which a piece of air is an airway and no lung, 0..1."""

AREA_SHARE: Final = (0.1, 0.65)
"""How much of a lung may lose its air, 0..1."""

DEPENDENT: Final = 0.8
"""Share of lobes that fill from the back, as they do in a patient who lies; others anywhere."""

PLEURA_PX: Final = 3
"""How far air is mixed into the pixels of the chest wall."""

WAVES: Final = 0.12
"""How far the border swings about a plane, as a share of the picture's side."""

BRONCHI: Final = 0.7
"""Share of lobes whose bronchi still hold air, dark and unlabelled as radiologists leave them."""

REACH: Final = 0.3
"""Of a field of standard deviation 1: bronchi run where it lies above."""

SOFT: Final = 0.5
"""Gray level above which a pixel is soft tissue or bone, 0..1."""

USUAL_TISSUE: Final = 0.85
"""Gray level of muscle, where no tissue lies around a lung."""


def paint_dense_lobes(example: Example, *, rng: np.random.Generator) -> Example:
    """Fill part of one lung or of both with tissue like the chest wall's; call it consolidation.

    Vessels keep their brightness, some bronchi their air; the border is wavy and soft.

    Args:
        example: a lung crop; one without a lung large enough is returned as it is.
        rng: the only source of chance.
    """
    lungs = _lungs(example)
    for index in rng.permutation(len(lungs))[: rng.integers(1, 3)]:
        example = _fill(example, lungs[index], rng)
    return example


def _fill(example: Example, lung: NDArray[np.bool_], rng: np.random.Generator) -> Example:
    image = example.image
    lobe = _part(lung, rng)
    bronchi = _bronchi(image.shape, rng) & lobe if rng.random() < BRONCHI else lobe & False
    # The pleura's own pixels are half air; left dark, they would give the painting away.
    grown = ndimage.binary_dilation(lobe, iterations=PLEURA_PX) & ~(lung & ~lobe) & ~bronchi
    cover = ndimage.gaussian_filter(grown.astype(np.float32), rng.uniform(0.5, 1.5))
    tissue = _tissue(image, lung) * rng.uniform(0.85, 1.03)
    grain = ndimage.gaussian_filter(rng.normal(0, 0.04, image.shape), rng.uniform(0.5, 1.2))
    painted = image + cover * (np.maximum(image, tissue + grain) - image)
    labels = np.where(lobe, CONSOLIDATION, example.labels)
    labels[bronchi] = 0
    return Example(example.name, np.clip(painted, 0, 1).astype(np.float32), labels.astype(np.uint8))


def _lungs(example: Example) -> list[NDArray[np.bool_]]:
    """Find the lungs as masks [h, w]: air and lesions together, vessels closed over."""
    low, high = WINDOW_HU
    image = example.image
    air = (image < (LUNG_BELOW_HU - low) / (high - low)) | (example.labels > 0)
    middle = image.shape[1] // 2
    # Beyond the edge it goes on as at the edge, or the corners would be opened away.
    opened = ndimage.binary_opening(np.pad(air, 4, mode="edge"), iterations=2)[4:-4, 4:-4]
    # Lungs that touch in front of the heart would be one piece.
    opened[:, middle - 1 : middle + 1] = False
    pieces, count = ndimage.label(opened)
    # Air in a corner of the crop lies outside the chest.
    outside = {pieces[row, column] for row in (0, -1) for column in (0, -1)}
    return [
        ndimage.binary_fill_holes(ndimage.binary_closing(pieces == piece, iterations=4))
        for piece in range(1, count + 1)
        if piece not in outside and (pieces == piece).mean() >= PIECE_AREA_MIN
    ]


def _part(lung: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Cut off the part of a lung that lies farthest in one direction, along a wavy border."""
    angle = 0.0 if rng.random() < DEPENDENT else rng.uniform(-np.pi, np.pi)
    angle += rng.normal(0, 0.3)
    rows, columns = np.indices(lung.shape)
    side = max(lung.shape)
    waves = _field(lung.shape, side / 20, rng) + 0.4 * _field(lung.shape, side / 80, rng)
    depth = rows * np.cos(angle) + columns * np.sin(angle) + WAVES * side * waves / 2
    level = np.quantile(depth[lung], 1 - rng.uniform(*AREA_SHARE))
    part: NDArray[np.bool_] = lung & (depth > level)
    return part


def _bronchi(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw thin curved lines: where one smooth field changes its sign and another is high."""
    side = max(shape)
    course, reach = _field(shape, side / 25, rng), _field(shape, side / 15, rng)
    steep = np.hypot(*np.gradient(course))
    lines: NDArray[np.bool_] = (np.abs(course) < steep * rng.uniform(0.7, 1.8)) & (reach > REACH)
    return lines


def _field(
    shape: tuple[int, ...], smooth_px: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a smooth random field of mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.normal(0, 1, shape), smooth_px)
    return np.asarray((field - field.mean()) / (field.std() + 1e-12))


def _tissue(image: NDArray[np.float32], lung: NDArray[np.bool_]) -> float:
    """Return the gray level of the soft tissue around a lung, 0..1."""
    around = ndimage.binary_dilation(lung, iterations=8) & ~lung & (image > SOFT)
    return float(np.median(image[around])) if around.any() else USUAL_TISSUE
