from collections import Counter
from pathlib import Path

import pytest

from hilum.errors import ConfigurationError
from hilum.training.data import picture_paths
from hilum.training.folds import (
    CONTROLS_HELD_OUT,
    FOLDS,
    controls_held_out,
    group_of,
    held_out,
)

LABELLED = frozenset().union(*FOLDS)
VOLUMES = [f"volume_{letter}_{z:03d}" for letter in "abcdefg" for z in range(3)]


def test_every_labelled_slice_is_held_out_once(shared_data: Path) -> None:
    names = [path.stem for path in picture_paths(shared_data / "ct-lesions/labelled/images")]

    times = Counter(name for fold in range(len(FOLDS)) for name in held_out(names, fold))

    assert times == Counter(names)


def test_the_table_holds_whatever_lies_beside_its_slices() -> None:
    assert held_out([*LABELLED, *VOLUMES], 3) == FOLDS[3]


def test_volumes_of_other_data_are_held_out_whole_and_once() -> None:
    folds = [held_out(VOLUMES, fold) for fold in range(5)]

    assert Counter(name for fold in folds for name in fold) == Counter(VOLUMES)
    assert {group_of(name) for name in folds[1]} == {"volume_b", "volume_g"}


def test_series_of_one_patient_are_not_parted() -> None:
    assert group_of("patient003-1.2.840.7_017") == group_of("patient003-1.2.840.9_002")
    assert group_of("patient003-1.2.840.7_017") != group_of("patient004-1.2.840.7_017")


def test_volumes_of_one_case_are_not_parted() -> None:
    for start in ("radiopaedia_", "radiopaedia_org_covid-19-pneumonia-"):
        assert group_of(f"{start}10_85902_1_007") == group_of(f"{start}10_85902_3-dcm_020")
        assert group_of(f"{start}1_85902_1_007") != group_of(f"{start}10_85902_1_007")
    assert group_of("coronacases_001_030") == "coronacases_001"


def test_slices_of_medseg_are_held_out_a_fifth_at_a_time() -> None:
    names = [f"tr_im_{z:03d}" for z in range(100)]

    folds = [held_out(names, fold) for fold in range(5)]

    assert Counter(name for fold in folds for name in fold) == Counter(names)
    assert {len(fold) for fold in folds} == {20}


def test_few_controls_are_held_out_by_a_third_and_whole_volumes() -> None:
    volumes = [f"{letter}_{z}" for letter in "abcdefgh" for z in range(2)]

    assert controls_held_out(volumes) == {"g_0", "g_1", "h_0", "h_1"}
    assert controls_held_out(["a_0", "a_1", "b_0"]) == {"b_0"}
    assert controls_held_out(["a_0", "a_1", "a_2"]) == frozenset()


def test_of_many_controls_the_last_twenty_are_held_out() -> None:
    names = [f"{n:03d}_0" for n in range(90)]

    assert controls_held_out(names) == set(names[-CONTROLS_HELD_OUT:])


def test_without_a_fold_nothing_is_held_out() -> None:
    assert held_out(VOLUMES, None) == frozenset()


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_does_not_exist_is_refused(fold: int) -> None:
    with pytest.raises(ConfigurationError, match=f"Fold {fold}: expected 0 to 4"):
        held_out(VOLUMES, fold)


def test_data_of_too_few_volumes_has_no_late_fold() -> None:
    with pytest.raises(ConfigurationError, match="they come from 1 volumes, expected at least 3"):
        held_out(["volume_a_000", "volume_a_001"], 2)
