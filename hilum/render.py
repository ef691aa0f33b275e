# SPDX-License-Identifier: Apache-2.0
"""Pictures people look at: a slice with its masks, a montage of a study, a report card."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.catalogue import CT_LESIONS
from hilum.findings import Analysis, Finding, Report
from hilum.volume import LESION_WINDOW_HU, apply_window

OPACITY = 0.40
"""Share of colour in a lesion's tint; its border is drawn whole."""

LUNG_COLOR = (122, 162, 247)
BACKGROUND = (16, 18, 24)
FOREGROUND = (232, 234, 240)
MUTED = (150, 156, 170)
TILE_PX = 320
THUMBNAIL_PX = 128
TEXT_PX = 18

RGB = NDArray[np.uint8]


def overlay(hu: NDArray[np.int16], lungs: NDArray[np.uint8], lesions: NDArray[np.uint8]) -> RGB:
    """Paint masks over a slice in the lung window: [y, x] each, to [y, x, 3]."""
    gray = apply_window(hu, LESION_WINDOW_HU) * 255
    picture = np.repeat(gray[..., None], 3, axis=2)
    picture[_border(lungs > 0)] = LUNG_COLOR
    for label in CT_LESIONS.labels:
        inside = lesions == label.value
        color = np.array(label.color, np.float32)
        picture[inside] = picture[inside] * (1 - OPACITY) + color * OPACITY
        picture[_border(inside)] = color
    return picture.astype(np.uint8)


def overlay_png(
    hu: NDArray[np.int16],
    lungs: NDArray[np.uint8],
    lesions: NDArray[np.uint8],
    *,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
) -> bytes:
    """Return `overlay` as PNG, stretched where pixels of `pixel_mm`, y and x, are not square."""
    picture = Image.fromarray(overlay(hu, lungs, lesions))
    down, across = _relative(pixel_mm)
    size = round(picture.width * across), round(picture.height * down)
    return _png(picture.resize(size) if size != picture.size else picture)


def montage_png(analysis: Analysis, *, columns: int = 4, rows: int = 3) -> bytes:
    """Return `montage` as PNG."""
    return _png(montage(analysis, columns=columns, rows=rows))


def montage(analysis: Analysis, *, columns: int = 4, rows: int = 3) -> Image.Image:
    """Draw slices from base to apex with their masks, cropped to the lungs, under a headline."""
    report = analysis.report
    tiles = [_tile(analysis, index) for index in _spread(analysis, columns * rows)]
    head = 4 * TEXT_PX
    canvas = Image.new("RGB", (columns * TILE_PX, head + rows * TILE_PX), BACKGROUND)
    _write(canvas, (12, 8), headline(report), TEXT_PX + 4, FOREGROUND)
    _legend(canvas, (12, 8 + 2 * TEXT_PX))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        canvas.paste(tile, (column * TILE_PX, head + row * TILE_PX))
    return canvas


def card_png(analysis: Analysis) -> bytes:
    """Return `card` as PNG."""
    return _png(card(analysis))


def card(analysis: Analysis) -> Image.Image:
    """Draw the slice with the largest lesion beside the report in words."""
    index = max(analysis.report.slices, key=lambda one: one.lesion_mm2).index
    side = 2 * TILE_PX
    canvas = Image.new("RGB", (2 * side, side), BACKGROUND)
    canvas.paste(_tile(analysis, index).resize((side, side), Image.Resampling.BICUBIC), (0, 0))
    lines = _card_lines(analysis.report)
    for place, (text, color) in enumerate(lines):
        _write(canvas, (side + 28, 28 + place * 30), text, TEXT_PX + 2, color)
    _legend(canvas, (side + 28, side - 44))
    return canvas


def thumbnail_png(analysis: Analysis) -> bytes:
    """Return the slice with the largest lesion, else the middle one, cropped to the chest, as PNG."""
    slices = analysis.report.slices
    worst = max(slices, key=lambda one: one.lesion_mm2)
    index = worst.index if worst.lesion_mm2 > 0 else len(slices) // 2
    return _png(_cropped(analysis, index, THUMBNAIL_PX))


def headline(report: Report) -> str:
    """Return verdict, grade and share in one line."""
    assessment = report.assessment
    review = " · review" if assessment.review else ""
    return (
        f"{assessment.verdict} · {assessment.grade} · {report.total.share:.1%} of the lungs"
        f" ({report.total.lesion_ml:.0f} of {report.total.lung_ml:.0f} ml){review}"
    )


def _card_lines(report: Report) -> list[tuple[str, tuple[int, int, int]]]:
    lines = [(headline(report), FOREGROUND), ("", MUTED)]
    for side, burden in (("Right lung", report.right), ("Left lung", report.left)):
        text = f"{side}: {burden.share:.1%} of {burden.lung_ml:.0f} ml"
        lines.append((text, FOREGROUND))
    lines.append(("", MUTED))
    lines.extend((_finding_line(finding), FOREGROUND) for finding in report.findings[:8])
    if len(report.findings) > 8:  # noqa: PLR2004 - as many lines as the card holds
        lines.append((f"and {len(report.findings) - 8} more", MUTED))
    seconds = f"{report.seconds_per_slice:.2f} s a slice on {report.network.device}"
    lines.extend([("", MUTED), (f"{report.network.name}, {seconds}", MUTED)])
    lines.append((report.intended_use, MUTED))
    return lines


def _finding_line(finding: Finding) -> str:
    return (
        f"{finding.number}. {finding.label}, {finding.lung}, {finding.volume_ml:.1f} ml,"
        f" {finding.mean_hu:.0f} HU"
    )


def _spread(analysis: Analysis, count: int) -> NDArray[np.intp]:
    """Choose slices evenly between the lowest and the highest with lung."""
    with_lung = [one.index for one in analysis.report.slices if one.lung_mm2 > 0]
    if not with_lung:
        with_lung = [one.index for one in analysis.report.slices]
    places = np.linspace(0, len(with_lung) - 1, min(count, len(with_lung)))
    chosen: NDArray[np.intp] = np.array(with_lung)[np.rint(places).astype(int)]
    return chosen


def _tile(analysis: Analysis, index: int) -> Image.Image:
    tile = _cropped(analysis, index, TILE_PX)
    _write(tile, (8, TILE_PX - TEXT_PX - 10), f"slice {index}", TEXT_PX, MUTED)
    return tile


def _cropped(analysis: Analysis, index: int, side_px: int) -> Image.Image:
    picture = overlay(analysis.volume.voxels[index], analysis.lungs[index], analysis.lesions[index])
    rows, columns = _square_around(analysis.lungs, _relative(analysis.volume.spacing_mm[1:]))
    square = Image.fromarray(picture[rows, columns])
    return square.resize((side_px, side_px), Image.Resampling.BICUBIC)


def _relative(pixel_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the sides of a pixel, y and x, in units of the shorter one."""
    down, across = pixel_mm
    return down / min(pixel_mm), across / min(pixel_mm)


def _square_around(lungs: NDArray[np.uint8], pixel: tuple[float, float]) -> tuple[slice, slice]:
    """Return the rows and columns of the lungs with a margin, as near square as the image allows.

    Args:
        lungs: [z, y, x].
        pixel: sides of a pixel, y and x, in any unit.
    """
    if not lungs.any():
        return slice(None), slice(None)
    spans = [np.flatnonzero(np.any(lungs, axis=axes))[[0, -1]] for axes in ((0, 2), (0, 1))]
    lengths = [(last - first) * one for (first, last), one in zip(spans, pixel, strict=True)]
    sides = [int(max(lengths) * 1.12 / one) for one in pixel]
    starts = [
        int(np.clip((first + last - side) // 2, 0, max(0, size - side)))
        for (first, last), side, size in zip(spans, sides, lungs.shape[1:], strict=True)
    ]
    return slice(starts[0], starts[0] + sides[0]), slice(starts[1], starts[1] + sides[1])


def _border(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask [y, x] that touch its outside."""
    padded = np.pad(inside, 1)
    deep = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    result: NDArray[np.bool_] = inside & ~deep
    return result


def _legend(canvas: Image.Image, place: tuple[int, int]) -> None:
    x, y = place
    pen = ImageDraw.Draw(canvas)
    entries = [(label.name, label.color) for label in CT_LESIONS.labels]
    for name, color in [*entries, ("lung", LUNG_COLOR)]:
        pen.rectangle((x, y + 4, x + 12, y + 16), fill=color)
        _write(canvas, (x + 20, y), name, TEXT_PX - 2, MUTED)
        x += 36 + int(pen.textlength(name, font=_font(TEXT_PX - 2)))


def _write(
    canvas: Image.Image, place: tuple[int, int], text: str, size: int, color: tuple[int, int, int]
) -> None:
    ImageDraw.Draw(canvas).text(place, text, fill=color, font=_font(size))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
