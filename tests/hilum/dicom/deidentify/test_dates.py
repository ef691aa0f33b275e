from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.dicom.deidentify.dates import is_age, shifted


@given(
    st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1)),
    st.integers(min_value=-3650, max_value=-1),
)
def test_every_date_moves_by_the_same_number_of_days(day: date, days: int) -> None:
    moved = shifted("DA", f"{day:%Y%m%d}", days)

    assert moved == f"{day + timedelta(days):%Y%m%d}"


@given(st.text(), st.sampled_from(["DA", "DT", "TM"]))
def test_no_text_comes_through_but_digits(text: str, vr: str) -> None:
    assert set(shifted(vr, text, -1)) <= set("0123456789.:+-")


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("DA", "20200301", "20200229"),
        ("DA", "2020.03.01", "20200229"),
        ("DA", "20200301\x00", "20200229"),
        ("DA", "20200230", ""),
        ("DA", "00010101", ""),
        ("DA", "1 March 2020", ""),
        ("DT", "20200301", "20200229"),
        ("DT", "20200301235959.123456+0100", "20200229235959.123456+0100"),
        ("DT", "2020030125", ""),
        ("DT", "202003", ""),
        ("TM", "235959.5", "235959.5"),
        ("TM", "2359", "2359"),
        ("TM", "25", ""),
        ("TM", "noon", ""),
    ],
)
def test_days_move_and_times_of_day_stay(vr: str, value: str, expected: str) -> None:
    assert shifted(vr, value, -1) == expected


def test_an_age_is_told_from_other_text() -> None:
    assert is_age("065Y")
    assert not is_age("Okonkwo")
    assert not is_age("65")
