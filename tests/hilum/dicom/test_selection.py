from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, SecondaryCaptureImageStorage

from hilum.dicom.read import read_study
from hilum.dicom.selection import choose_ct_series, has_lung_kernel
from hilum.errors import MissingRescale, NoCtSeries, SingleSlice
from hilum.study import Series, SeriesChoice
from tests import phantoms
from tests.phantoms import chest


def choose(folder: Path, *series: list[Dataset]) -> SeriesChoice:
    for datasets in series:
        phantoms.write(folder, datasets)
    return choose_ct_series(read_study(folder))


def soft(slices: list[Dataset]) -> list[Dataset]:
    return phantoms.as_series(slices, ConvolutionKernel="STANDARD")


def test_only_series_is_chosen_and_explained(tmp_path: Path) -> None:
    choice = choose(tmp_path, chest().datasets())

    assert choice.series.series_uid == chest().datasets()[0].SeriesInstanceUID
    assert choice.reason == (
        "Read the original axial CT of 24 slices with lung kernel LUNG, the only series."
    )
    assert choice.passed == ()


def test_lung_kernel_wins_over_an_equally_long_soft_one(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, soft(slices), slices)

    assert choice.series.kernel == "LUNG"
    assert choice.passed[0].reason.endswith(
        "is original axial CT of 24 slices with soft kernel STANDARD: a lung kernel was preferred."
    )


def test_lung_kernel_wins_over_a_longer_soft_one_while_comparable(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, soft(slices), slices[:12])

    assert choice.series.kernel == "LUNG"


def test_soft_kernel_with_far_more_slices_wins(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, soft(slices), slices[:11])

    assert choice.series.kernel == "STANDARD"
    assert "the chosen series has 24 slices" in choice.passed[0].reason


def test_more_slices_win_between_equal_kernels(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, phantoms.as_series(slices[:20]), slices)

    assert len(choice.series.instances) == 24


def test_a_series_with_a_gap_gives_way_to_one_without(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, phantoms.missing(slices, [11]), soft(slices))

    assert choice.series.kernel == "STANDARD"
    assert "expected" in choice.passed[0].reason


def test_original_wins_over_a_longer_derived_one(tmp_path: Path) -> None:
    slices = chest().datasets()
    derived = phantoms.as_series(slices, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])

    choice = choose(tmp_path, derived, slices[:5])

    assert len(choice.series.instances) == 5
    assert "an original acquisition was preferred" in choice.passed[0].reason


def test_derived_series_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    derived = phantoms.setting(chest().datasets(), None, ImageType=["DERIVED", "PRIMARY", "AXIAL"])

    assert choose(tmp_path, derived).reason.startswith("Read the derived axial CT of 24 slices")


def test_phases_at_one_place_do_not_count_as_more_slices(tmp_path: Path) -> None:
    slices = chest().datasets()
    phases = phantoms.as_series([*slices[:10], *slices[:10], *slices[:10]])

    assert len(choose(tmp_path, phases, slices).series.instances) == 24


def test_equal_series_are_chosen_between_always_alike(tmp_path: Path) -> None:
    slices = chest().datasets()
    twin = phantoms.as_series(slices)

    one = choose(tmp_path / "one", slices, twin)
    other = choose(tmp_path / "other", twin, slices)

    assert one.series.series_uid == other.series.series_uid
    assert one.passed[0].reason.endswith("an equal series was read.")


def test_localizer_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    slices = chest().datasets()

    choice = choose(tmp_path, phantoms.localizer(slices), slices)

    assert len(choice.series.instances) == 24
    [passed] = choice.passed
    assert passed.reason == (
        f"Series {passed.series_uid} has image type ORIGINAL\\PRIMARY\\LOCALIZER,"
        " expected cross-sections."
    )


def test_scout_filed_among_the_slices_is_left_out(tmp_path: Path) -> None:
    slices = chest().datasets()
    uid = slices[0].SeriesInstanceUID
    scout = phantoms.setting(phantoms.localizer(slices), None, SeriesInstanceUID=uid)

    assert len(choose(tmp_path, [*slices, *scout]).series.instances) == 24


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Modality": "MR"}, "has modality MR, expected CT"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "holds Secondary Capture Image Storage"),
        ({"SOPClassUID": EnhancedMRImageStorage}, "holds Enhanced MR Image Storage"),
        ({"NumberOfFrames": 7}, "is classic CT with 7 frames in one instance"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "expected cross-sections"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "expected cross-sections"),
    ],
)
def test_study_without_ct_slices_is_refused_with_the_reason(
    tmp_path: Path, values: dict[str, object], words: str
) -> None:
    slices = phantoms.setting(chest().datasets(), None, **values)

    with pytest.raises(NoCtSeries, match=words):
        choose(tmp_path, slices)


def test_scout_alone_is_no_ct_series(tmp_path: Path) -> None:
    with pytest.raises(NoCtSeries, match="None of the 1 series of study"):
        choose(tmp_path, phantoms.localizer(chest().datasets()))


def test_fault_of_the_largest_ct_series_is_told(tmp_path: Path) -> None:
    slices = chest().datasets()
    short = phantoms.as_series(slices[:1])

    with pytest.raises(MissingRescale):
        choose(tmp_path, short, phantoms.without(slices, "RescaleSlope"))


def test_single_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SingleSlice):
        choose(tmp_path, chest().datasets()[:1])


def test_series_that_cannot_be_read_gives_way_to_one_that_can(tmp_path: Path) -> None:
    slices = chest().datasets()
    broken = phantoms.without(phantoms.as_series(slices), "PixelSpacing")

    choice = choose(tmp_path, broken, slices[:4])

    assert len(choice.series.instances) == 4
    assert "no usable pixel spacing" in choice.passed[0].reason


def test_missing_modality_is_forgiven_where_the_kind_of_object_tells(tmp_path: Path) -> None:
    choice = choose(tmp_path, phantoms.without(chest().datasets(), "Modality"))

    assert len(choice.series.instances) == 24


@pytest.mark.parametrize(
    ("kernel", "description", "is_lung"),
    [
        ("LUNG", "", True),
        ("L", "", True),
        ("B70f", "", True),
        ("Bl57d", "", True),
        ("I50f", "", True),
        ("FC51", "", True),
        ("STANDARD", "Chest lung window", False),
        ("B", "", False),
        ("B31f", "", False),
        ("Br40d", "", False),
        ("FC08", "", False),
        ("", "Thorax Lunge 1.0", True),
        ("", "Lung 5.0", True),
        ("", "Mediastinum", False),
    ],
)
def test_lung_kernel_is_told_by_its_name(kernel: str, description: str, is_lung: bool) -> None:  # noqa: FBT001 - a table
    series = Series("1.2", "CT", description, kernel, (), ())

    assert has_lung_kernel(series) is is_lung


def test_real_study_is_read_from_its_long_lung_series(real_studies: Path) -> None:
    choice = choose_ct_series(read_study(real_studies / "lung-dx-A0001"))

    assert (choice.series.kernel, len(choice.series.instances)) == ("L", 64)
    assert [passed.reason.split(" is ")[1] for passed in choice.passed] == [
        "original axial CT of 24 slices with soft kernel B: a lung kernel was preferred."
    ]
