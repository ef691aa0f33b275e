from api.dashboard.slices import share_by_slice
from tests.api.dashboard.visitor import Visitor
from tests.db.factories import make_report


def test_share_of_each_slice_is_lesion_over_its_lung() -> None:
    slices = [
        {"lung_mm2": 0.0, "lesion_mm2": 0.0},
        {"lung_mm2": 200.0, "lesion_mm2": 50.0},
        {"lung_mm2": 90.0, "lesion_mm2": 0.0},
    ]

    assert share_by_slice({"slices": slices}) == [0.0, 0.25, 0.0]
    assert share_by_slice(make_report().to_json()) == [0.1, 0.1]


def test_case_has_the_chart_and_what_it_may_be_held_against(reader: Visitor, finished: str) -> None:
    page = reader.get(f"/cases/{finished}").text

    assert '"kind": "slices"' in page
    assert 'role="slider"' in page
    assert 'id="compare"' in page
    assert 'maxlength="2000"' in page
