# SPDX-License-Identifier: Apache-2.0
"""A frame of any stored object as people look at it (PS3.3 C.11, PS3.4 N.2)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import SegmentationStorage

from hilum.dicom import header
from hilum.dicom.frames import Frames
from hilum.dicom.quiet import quiet
from hilum.errors import InvalidRequest, UnreadablePixels
from hilum.volume import LESION_WINDOW_HU

WHITE: Final = 255
NUMBER: Final = r"(-?[0-9]{1,7}(?:\.[0-9]{1,6})?)"
WINDOW: Final = re.compile(rf"{NUMBER},{NUMBER},(linear|linear-exact|sigmoid)")

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are black, which are white, and how it goes between (PS3.3 C.11.2.1).

    Attributes:
        center, width: in the units of the rescaled values, HU in CT.
        function: a name of FUNCTIONS.
    """

    center: float
    width: float
    function: str = "linear"

    @classmethod
    def parse(cls, asked: str) -> Self:
        """Return the window of a request, `center,width,function`.

        Raises:
            InvalidRequest: it is none.
        """
        found = WINDOW.fullmatch(asked)
        if found is None or float(found[2]) < LEAST_WIDTH[found[3]]:
            raise InvalidRequest(
                f"window is {asked[:80]!r}, expected center,width,function"
                f" with {', '.join(FUNCTIONS)}."
            )
        return cls(float(found[1]), float(found[2]), found[3])

    def apply(self, values: Values) -> Values:
        """Return values as 0..1, of any shape."""
        return np.clip(FUNCTIONS[self.function](values, self.center, self.width), 0.0, 1.0)


def _linear(values: Values, center: float, width: float) -> Values:
    if width <= 1:
        return np.where(values > center - 0.5, 1.0, 0.0)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _linear_exact(values: Values, center: float, width: float) -> Values:
    return (values - center) / width + 0.5


def _sigmoid(values: Values, center: float, width: float) -> Values:
    # Beyond this the exponential overflows, and nothing changes any more.
    return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -60, 60)))


FUNCTIONS: Final[Mapping[str, Callable[[Values, float, float], Values]]] = {
    "linear": _linear,
    "linear-exact": _linear_exact,
    "sigmoid": _sigmoid,
}

LEAST_WIDTH: Final = {"linear": 1.0, "linear-exact": 1e-6, "sigmoid": 1e-6}
"""What a window must have (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""


def picture(path: Path, number: int, window: Window | None = None) -> Image.Image:
    """Draw a frame of a stored object, which count from 1.

    Colours stay as they are, a segment is white on black, everything else is seen through a window:
    the one asked for, else the one the object names, else that of the lungs in CT.

    Raises:
        UnreadableObject: the file is no DICOM.
        UnknownObject: it has no such frame.
        UnreadablePixels, UnsupportedTransferSyntax: the frame cannot be decoded.
    """
    frames = Frames.open(path)
    pixels = frames.array(number)
    try:
        with quiet():
            return Image.fromarray(_drawn(frames.dataset, pixels, number - 1, window))
    except (*header.BROKEN, RuntimeError) as error:
        raise UnreadablePixels(
            f"Frame {number} of instance {header.uid(frames.dataset, 'SOPInstanceUID')}"
            f" cannot be drawn ({type(error).__name__})."
        ) from error


def _drawn(
    dataset: Dataset, pixels: NDArray[Any], frame: int, window: Window | None
) -> NDArray[np.uint8]:
    if pixels.ndim == 3:  # noqa: PLR2004 - y, x, sample
        return _eight_bits(pixels, dataset)
    if header.text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return (colours >> (8 * (colours.itemsize - 1))).astype(np.uint8)
    if header.uid(dataset, "SOPClassUID") == SegmentationStorage:
        return _segment(pixels, dataset)
    values = _rescaled(pixels, dataset, frame)
    chosen = window or _named(dataset, frame) or _usual(values, dataset)
    gray = chosen.apply(values)
    if header.text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        gray = 1 - gray
    return np.rint(gray * WHITE).astype(np.uint8)


def _eight_bits(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    spare = max((header.integer(dataset, "BitsStored") or 8) - 8, 0)
    return (pixels[..., :3] >> spare).astype(np.uint8)


def _segment(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    # Binary segments are 0 or 1; fractional ones say what stands for the whole.
    whole = header.integer(dataset, "MaximumFractionalValue") or 1
    return np.clip(pixels.astype(np.float64) / whole * WHITE, 0, WHITE).astype(np.uint8)


def _rescaled(pixels: NDArray[Any], dataset: Dataset, frame: int) -> Values:
    said = header.functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    if "ModalityLUTSequence" in said:
        return apply_modality_lut(pixels, said).astype(np.float64)
    slope, intercept = header.number(said, "RescaleSlope"), header.number(said, "RescaleIntercept")
    return pixels * (slope or 1.0) + (intercept or 0.0)


def _named(dataset: Dataset, frame: int) -> Window | None:
    said = header.functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    # An object may name several; the first is the one it is seen by.
    center, width = (_first(said, name) for name in ("WindowCenter", "WindowWidth"))
    function = header.text(said, "VOILUTFunction").lower().replace("_", "-") or "linear"
    if center is None or width is None or width < LEAST_WIDTH.get(function, np.inf):
        return None
    return Window(center, width, function)


def _first(dataset: Dataset, keyword: str) -> float | None:
    found = header.value(dataset, keyword)
    one = found if isinstance(found, str | float | int) else next(iter(found or ()), None)
    try:
        number = float(one)  # type: ignore[arg-type]  # None is among what the next line is for
    except header.BROKEN:
        return None
    return number if np.isfinite(number) else None


def _usual(values: Values, dataset: Dataset) -> Window:
    if header.text(dataset, "Modality") == "CT":
        low, high = LESION_WINDOW_HU
    else:
        low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, max(high - low, LEAST_WIDTH["linear-exact"]), "linear-exact")
