from pathlib import Path

import numpy as np
import pytest

from hilum.dicom.key_image import key_image
from hilum.phantom import Phantom
from hilum.render import card
from tests.analyses import analysis_of
from tests.hilum.dicom.results import errors_of
from tests.phantoms import chest, healthy


def test_it_shows_the_card_and_says_that_it_is_not_for_diagnosis() -> None:
    analysis = analysis_of(chest())

    image = key_image(analysis)

    np.testing.assert_array_equal(image.pixel_array, np.array(card(analysis)))
    assert "not for diagnosis" in image.SeriesDescription
    assert "not for diagnosis" in image.ImageComments
    assert image.ContentQualification == "RESEARCH"


def test_it_belongs_to_the_study_of_its_slices_and_to_a_series_of_its_own() -> None:
    first = chest().datasets()[0]

    image = key_image(analysis_of(chest()))

    assert (image.PatientID, image.StudyInstanceUID) == (first.PatientID, first.StudyInstanceUID)
    assert image.SeriesInstanceUID != first.SeriesInstanceUID


@pytest.mark.parametrize("phantom", [chest(), healthy()], ids=["ill", "healthy"])
def test_the_validator_holds_nothing_against_it(phantom: Phantom, tmp_path: Path) -> None:
    assert errors_of(key_image(analysis_of(phantom)), tmp_path) == []
