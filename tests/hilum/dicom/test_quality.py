from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from hilum.dicom.quality import BurnedIn, Outcome, Sheet, score_series
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_study
from tests import phantoms
from tests.phantoms import chest

Slices = list[Dataset]


def sheets(folder: Path, *series: Slices) -> list[Sheet]:
    for datasets in series:
        phantoms.write(folder, datasets)
    return score_series(read_study(folder))


def test_a_good_series_is_chosen_and_described(tmp_path: Path) -> None:
    [sheet] = sheets(tmp_path, chest().datasets())

    assert (sheet.outcome, sheet.code, sheet.plane) == (Outcome.CHOSEN, None, "axial")
    assert (sheet.modality, sheet.kernel, sheet.is_original) == ("CT", "LUNG", True)
    assert (sheet.instances, sheet.frames, sheet.rows, sheet.columns) == (24, 24, 192, 192)
    assert sheet.transfer_syntaxes == ("Explicit VR Little Endian",)
    assert sheet.photometric == "MONOCHROME2"
    assert sheet.has_rescale
    assert sheet.burned_in is BurnedIn.NO
    assert sheet.steps is not None
    assert (sheet.steps.slices, sheet.steps.repeats, sheet.steps.gaps) == (24, 0, 0)
    step_mm = abs(chest().affine[2, 0])
    assert sheet.steps.spacing_mm == pytest.approx(step_mm, abs=1e-3)
    assert sheet.steps.tilt_degrees == 0


def test_the_one_that_is_read_and_the_one_that_is_not_say_why(tmp_path: Path) -> None:
    soft = phantoms.as_series(chest().datasets()[:20], ConvolutionKernel="STANDARD")

    lung, other = sheets(tmp_path, chest().datasets(), soft)

    assert (lung.outcome, other.outcome) == (Outcome.CHOSEN, Outcome.ACCEPTED)
    assert "first of 2 series" in lung.reason
    assert other.reason.endswith("a lung kernel was preferred.")


REFUSALS: dict[str, tuple[Callable[[Slices], Slices], str, dict[str, Any]]] = {
    "no positions": (
        lambda s: phantoms.without(s, "ImagePositionPatient"),
        "missing_position",
        {"plane": "", "steps": None},
    ),
    "no rescale": (
        lambda s: phantoms.without(s, "RescaleSlope"),
        "missing_rescale",
        {"has_rescale": False, "plane": "axial"},
    ),
    "two slices": (lambda s: s[:2], "single_slice", {"instances": 2}),
    "coronal": (phantoms.coronal, "not_axial", {"plane": "coronal"}),
    "turned in between": (phantoms.mixed_orientations, "mixed_orientations", {"plane": ""}),
    "localizer": (
        lambda s: phantoms.setting(s, None, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "no_ct_series",
        {"is_original": True},
    ),
    "another modality": (
        lambda s: phantoms.setting(s, None, Modality="MR"),
        "no_ct_series",
        {"modality": "MR"},
    ),
    "screen shots": (
        lambda s: phantoms.setting(
            s,
            None,
            SOPClassUID=SecondaryCaptureImageStorage,
            ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"],
        ),
        "no_ct_series",
        {"burned_in": BurnedIn.YES, "is_original": False},
    ),
    "multi-frame": (
        lambda s: phantoms.setting(
            s[:1],
            None,
            SOPClassUID=MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
            NumberOfFrames=24,
        ),
        "no_ct_series",
        {"frames": 24, "instances": 1},
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_series_that_cannot_be_read_says_why(why: str, tmp_path: Path) -> None:
    change, code, expected = REFUSALS[why]

    [sheet] = sheets(tmp_path, change(chest().datasets()))

    assert (sheet.outcome, sheet.code) == (Outcome.REFUSED, code)
    assert sheet.reason.endswith(".")
    assert {name: getattr(sheet, name) for name in expected} == expected


def test_gaps_repeats_and_tilt_are_counted(tmp_path: Path) -> None:
    slices = phantoms.tilted(phantoms.missing(chest().datasets(), [5, 11, 12]), 12.0)
    again = phantoms.clashing(slices, 3)

    [sheet] = sheets(tmp_path, again)

    assert (sheet.outcome, sheet.code) == (Outcome.REFUSED, "missing_slices")
    assert sheet.steps is not None
    assert (sheet.steps.slices, sheet.steps.repeats, sheet.steps.gaps) == (21, 1, 2)
    assert sheet.steps.tilt_degrees == pytest.approx(12, abs=0.1)
    assert sheet.steps.spacing_max_mm == pytest.approx(3 * sheet.steps.spacing_mm, rel=0.01)


def test_one_slice_with_a_name_in_its_pixels_is_enough(tmp_path: Path) -> None:
    slices = phantoms.setting(chest().datasets(), None, BurnedInAnnotation="NO")

    [sheet] = sheets(tmp_path, phantoms.setting(slices, [9], BurnedInAnnotation="YES"))

    assert sheet.burned_in is BurnedIn.YES


@pytest.mark.parametrize(
    ("said", "kind", "expected"),
    [("YES", "ORIGINAL", "yes"), ("NO", "DERIVED", "no"), ("", "DERIVED", "possible")],
)
def test_names_in_the_pixels_are_a_risk_unless_ruled_out(
    said: str, kind: str, expected: str, tmp_path: Path
) -> None:
    image_type = [kind, "PRIMARY", "AXIAL"]
    slices = phantoms.setting(
        chest().datasets(), None, BurnedInAnnotation=said, ImageType=image_type
    )

    [sheet] = sheets(tmp_path, slices)

    assert sheet.burned_in == expected


def test_text_where_a_term_belongs_is_not_handed_on(tmp_path: Path) -> None:
    with quiet():
        slices = phantoms.setting(chest().datasets(), None, BodyPartExamined="Mrs. Smith's chest")

        [sheet] = sheets(tmp_path, slices)

    assert sheet.body_part == ""


def test_a_sheet_is_plain_data(tmp_path: Path) -> None:
    [sheet] = sheets(tmp_path, chest().datasets())

    data = sheet.to_json()

    assert data["outcome"] == "chosen"
    assert data["steps"]["slices"] == 24


def test_real_studies_have_a_sheet_for_every_series(real_studies: Path) -> None:
    lung, soft = score_series(read_study(real_studies / "lung-dx-A0001"))

    assert (lung.outcome, soft.outcome) == (Outcome.CHOSEN, Outcome.ACCEPTED)
    assert lung.steps is not None
    assert (lung.steps.slices, lung.steps.spacing_mm) == (64, 5.0)
