"""Pictures show the masks where they are, and say what they show."""

import io

import numpy as np
import pytest
from PIL import Image

from hilum.catalogue import CONSOLIDATION, GROUND_GLASS
from hilum.findings import Analysis
from hilum.render import (
    LUNG_COLOR,
    _cropped,
    _png,
    card_png,
    headline,
    montage_png,
    overlay,
    overlay_png,
    thumbnail_png,
)
from tests.analyses import analysis_of
from tests.phantoms import SLICES, chest, healthy, oblong


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analysis_of(chest())


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_lesion_is_tinted_and_its_border_drawn_in_its_colour() -> None:
    hu = np.full((20, 20), -850, np.int16)
    lesions = np.zeros((20, 20), np.uint8)
    lesions[5:10, 5:10] = GROUND_GLASS.value
    lesions[12:17, 12:17] = CONSOLIDATION.value

    picture = overlay(hu, np.zeros_like(lesions), lesions)

    assert tuple(picture[5, 7]) == GROUND_GLASS.color
    assert tuple(picture[12, 14]) == CONSOLIDATION.color
    assert picture[7, 7, 2] > picture[0, 0, 2]
    assert len(set(picture[0, 0])) == 1


def test_the_lungs_are_outlined_and_their_inside_left_alone() -> None:
    hu = np.full((20, 20), -850, np.int16)
    lungs = np.zeros((20, 20), np.uint8)
    lungs[5:15, 5:15] = 1

    picture = overlay(hu, lungs, np.zeros_like(lungs))

    assert tuple(picture[5, 10]) == LUNG_COLOR
    assert len(set(picture[10, 10])) == 1


def test_an_overlay_has_the_size_of_its_slice() -> None:
    empty = np.zeros((30, 50), np.uint8)

    assert opened(overlay_png(np.zeros((30, 50), np.int16), empty, empty)).size == (50, 30)


def test_a_slice_of_oblong_pixels_has_the_proportions_of_the_patient() -> None:
    empty = np.zeros((30, 25), np.uint8)

    picture = opened(overlay_png(empty.astype(np.int16), empty, empty, pixel_mm=(0.8, 1.6)))

    assert picture.size == (50, 30)


def test_thumbnail_of_oblong_pixels_shows_the_same_as_of_square_ones(analysis: Analysis) -> None:
    square, stretched = (
        np.asarray(opened(thumbnail_png(one)), float)
        for one in (analysis, analysis_of(oblong(chest())))
    )

    # Half as many columns are coarser, by 17; a cut of other proportions differs by 69.
    assert np.abs(square - stretched).mean() < 25


def test_a_montage_holds_its_tiles_under_a_headline(analysis: Analysis) -> None:
    picture = opened(montage_png(analysis, columns=3, rows=2))

    assert picture.width == 3 * 320
    assert picture.height > 2 * 320


def test_a_montage_of_a_study_without_lungs_is_still_drawn(analysis: Analysis) -> None:
    nothing = analysis_of(healthy(), lungs=np.zeros_like(analysis.lungs))

    assert opened(montage_png(nothing)).width == 4 * 320


def test_a_thumbnail_is_small_and_shows_the_slice_with_the_largest_lesion(
    analysis: Analysis,
) -> None:
    picture = opened(thumbnail_png(analysis))

    coloured = np.asarray(picture).astype(int)
    assert picture.size == (128, 128)
    assert np.count_nonzero(coloured[..., 2] - coloured[..., 0] > 40) > 30


def test_a_thumbnail_of_a_healthy_chest_shows_the_middle() -> None:
    healthy_one = analysis_of(healthy())

    assert thumbnail_png(healthy_one) == _png(_cropped(healthy_one, SLICES // 2, 128))


def test_the_card_shows_the_slice_with_the_largest_lesion(analysis: Analysis) -> None:
    picture = np.asarray(opened(card_png(analysis)).convert("RGB"))

    left = picture[:, : picture.shape[1] // 2].astype(int)
    assert np.count_nonzero(left[..., 2] - left[..., 0] > 40) > 100


def test_the_headline_names_verdict_grade_share_and_volume(analysis: Analysis) -> None:
    total = analysis.report.total

    line = headline(analysis.report)

    assert str(analysis.report.assessment.verdict) in line
    assert f"{total.share:.1%}" in line
    assert f"{total.lesion_ml:.0f} of {total.lung_ml:.0f} ml" in line
