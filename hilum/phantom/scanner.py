# SPDX-License-Identifier: Apache-2.0
"""What a scanner does to a body: it blurs, sharpens with its kernel, and adds noise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.phantom.space import Field

BLUR_MM: Final = 0.45
"""Deviation of the point spread."""

SHARPEN: Final = 0.55
"""How much a lung kernel lifts edges."""

SHARPEN_MM: Final = 1.1
"""Width of the edges it lifts."""

NOISE_HU: Final = 27.0
"""Deviation inside the body; a lung kernel at an ordinary dose of 5 mm slices shows about 30."""

NOISE_IN_AIR: Final = 0.5
"""Noise outside the body, as a share."""

GRAIN_MM: Final = 0.55
"""Size of the grain: neighbours share their noise, and a sharp kernel removes its slow part."""

LOWEST_HU: Final = -1024
HIGHEST_HU: Final = 3071


def scan(hu: Field, body: Field, *, pixel_mm: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Return one slice as a scanner would show it.

    Args:
        hu: true density, [y, x].
        body: share of each pixel that is body, 0..1.
        pixel_mm: side of a pixel.
        rng: makes the noise.
    """
    blurred = ndimage.gaussian_filter(hu, BLUR_MM / pixel_mm)
    sharp = blurred + SHARPEN * (blurred - ndimage.gaussian_filter(blurred, SHARPEN_MM / pixel_mm))
    sharp += _noise(hu.shape, pixel_mm, rng) * (NOISE_IN_AIR + (1 - NOISE_IN_AIR) * body)
    return np.clip(np.rint(sharp), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _noise(shape: tuple[int, ...], pixel_mm: float, rng: np.random.Generator) -> Field:
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(white, GRAIN_MM / pixel_mm)
    grain -= 0.8 * ndimage.gaussian_filter(grain, 3 * GRAIN_MM / pixel_mm)
    noise: Field = grain * np.float32(NOISE_HU / grain.std())
    return noise
