"""The pictures of docs/images, made of what `tests/browser/test_whole_day.py` saw; `make pictures` runs both."""

from typing import Final

from PIL import Image

from tests.browser.looking import ROOT, SCREENSHOTS

IMAGES = ROOT / "docs" / "images"

PICTURES: Final = {
    "case": ("report-light", 1240),
    "case-dark": ("report-dark", 1240),
    "cases": ("cases-of-a-day-light", 700),
    "queue": ("queue-of-a-day-light", 1000),
    "insights": ("insights-of-a-day-light", 1400),
    "compare": ("compare-light", 1300),
}
"""Which screenshot, and how much of it from the top, in pixels."""

COLOURS: Final = 256
"""A page has few: the files are a third as large."""


def shrink(name: str, height: int) -> Image.Image:
    """Return the upper part of a screenshot in few colours."""
    picture = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
    part = picture.crop((0, 0, picture.width, min(height, picture.height)))
    return part.quantize(COLOURS)


if __name__ == "__main__":
    for name, (screenshot, height) in PICTURES.items():
        shrink(screenshot, height).save(IMAGES / f"{name}.png", optimize=True)
