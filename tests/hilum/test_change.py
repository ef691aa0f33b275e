from dataclasses import replace
from datetime import date

import pytest

from hilum.change import Amount, Reading, burden_of, change_between
from hilum.findings import LungBurden


def reading(lesion_ml: float = 200.0, **by_label: float) -> Reading:
    """Of two lungs of two litres each, all of the lesion in the right one."""
    return Reading(
        pipeline="ct-lesions@2.0.0",
        network="resnet50@4.0.0",
        thresholds="mosmed-2026.1",
        verdict="Mild",
        grade="CT-1",
        study_date=date(2026, 1, 2),
        slice_mm=5.0,
        burden={
            "right": LungBurden(2000.0, lesion_ml, by_label),
            "left": LungBurden(2000.0, 0.0, {}),
            "total": LungBurden(4000.0, lesion_ml, by_label),
        },
    )


def test_change_of_volume_and_share_is_absolute_and_relative() -> None:
    total = change_between(reading(200.0), reading(300.0)).total

    assert total.lesion_ml.absolute == pytest.approx(100.0)
    assert total.lesion_ml.relative == pytest.approx(0.5)
    assert total.share.absolute == pytest.approx(0.025)
    assert total.share.relative == pytest.approx(0.5)
    assert total.lung_ml == Amount(4000.0, 4000.0)


def test_each_lung_changes_by_itself() -> None:
    sides = change_between(reading(200.0), reading(100.0)).sides

    assert sides["right"].share.absolute == pytest.approx(-0.05)
    assert sides["left"].lesion_ml.absolute == 0


def test_what_was_nothing_has_no_relative_change() -> None:
    assert Amount(0.0, 12.0).relative is None
    assert Amount(0.0, 12.0).absolute == 12


def test_each_class_changes_and_one_that_is_not_named_was_not_found() -> None:
    before = reading(200.0, glass=150.0, consolidation=50.0)
    after = reading(200.0, glass=180.0, band=20.0)

    by_label = change_between(before, after).by_label

    assert by_label == {
        "glass": Amount(150.0, 180.0),
        "consolidation": Amount(50.0, 0.0),
        "band": Amount(0.0, 20.0),
    }


@pytest.mark.parametrize(
    ("before", "after", "days"),
    [
        (date(2026, 1, 30), date(2026, 3, 1), 30),
        (date(2026, 3, 1), date(2026, 1, 30), -30),
        (date(2026, 3, 1), date(2026, 3, 1), 0),
        (None, date(2026, 3, 1), None),
    ],
)
def test_days_between_two_scans_are_counted(
    before: date | None, after: date | None, days: int | None
) -> None:
    one, other = reading(), reading()

    change = change_between(replace(one, study_date=before), replace(other, study_date=after))

    assert change.days == days


def test_two_reports_of_one_kind_need_no_warning() -> None:
    assert change_between(reading(), replace(reading(), slice_mm=5.05)).warnings == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "resnet101@4.0.0"}, "The networks differ, resnet50@4.0.0 and resnet101@4.0.0"),
        ({"thresholds": "own-1"}, "The thresholds differ, mosmed-2026.1 and own-1"),
        ({"pipeline": "ct-lesions@3.0.0"}, "The pipelines differ"),
        ({"slice_mm": 1.25}, "The slices lie 5 mm and 1.25 mm apart"),
    ],
)
def test_reports_of_two_kinds_are_warned_of(changes: dict[str, object], sentence: str) -> None:
    [warning] = change_between(reading(), replace(reading(), **changes)).warnings  # type: ignore[arg-type]  # one field of each case

    assert warning.startswith(sentence)


def test_burden_of_a_document_without_classes_has_none() -> None:
    burden = burden_of({"lung_ml": 2000.0, "lesion_ml": 0.0, "share": 0.0})

    assert burden == LungBurden(2000.0, 0.0, {})
