"""Figures of agreement are held to published examples and to what they come to by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.agreement import Estimate, kappa, share

WORDS = ("No finding", "Mild", "Alarming")

DIAGNOSES = {
    ("P", "P"): 75, ("P", "N"): 1, ("P", "O"): 4,
    ("N", "P"): 5, ("N", "N"): 4, ("N", "O"): 1,
    ("O", "P"): 0, ("O", "N"): 0, ("O", "O"): 10,
}  # fmt: skip
"""Fleiss, Levin, Paik 2003, Statistical Methods for Rates and Proportions, table 18.1."""


def test_kappa_is_that_of_the_textbook() -> None:
    found = kappa(DIAGNOSES)

    assert found is not None
    assert found.n == 100
    assert found.value == pytest.approx(0.676, abs=0.001)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.088, abs=0.001)


def test_kappa_of_two_by_two_is_what_it_comes_to_by_hand() -> None:
    # Observed 35 of 50; by chance 25/50 * 30/50 + 25/50 * 20/50 = 0.5.
    table = {("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10, ("b", "b"): 15}

    found = kappa(table)

    assert found is not None
    assert found.value == pytest.approx((0.7 - 0.5) / 0.5)


def test_interval_of_kappa_is_the_one_that_drawing_anew_gives() -> None:
    rng = np.random.default_rng(1)
    counts = np.array([*DIAGNOSES.values()])
    draws = rng.multinomial(counts.sum(), counts / counts.sum(), 4000)

    drawn = [kappa(dict(zip(DIAGNOSES, draw.tolist(), strict=True))) for draw in draws]

    found = kappa(DIAGNOSES)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    spread = np.std([one.value for one in drawn if one is not None])
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(spread, rel=0.06)


def test_agreement_that_chance_alone_gives_is_a_kappa_of_none() -> None:
    table = {(one, other): 5 for one in WORDS for other in WORDS}

    found = kappa(table)

    assert found is not None
    assert found.value == pytest.approx(0)


def test_everything_alike_is_a_kappa_of_one_without_an_interval() -> None:
    assert kappa({("a", "a"): 3, ("b", "b"): 2}) == Estimate(1.0, None, None, 5)


@pytest.mark.parametrize("table", [{}, {("a", "a"): 0}, {("a", "a"): 7}])
def test_kappa_of_nothing_and_of_one_word_alone_is_none(table: dict[tuple[str, str], int]) -> None:
    assert kappa(table) is None


@given(
    st.dictionaries(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), st.integers(0, 999))
)
def test_kappa_and_its_interval_lie_in_bounds(table: dict[tuple[str, str], int]) -> None:
    found = kappa(table)

    if found is not None:
        assert -1 <= found.value <= 1 + 1e-12
        assert math.isfinite(found.value)
    if found is not None and found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.value <= found.high <= 1


def test_interval_of_a_share_is_that_of_wilson() -> None:
    # Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I.
    found = share(81, 263)

    assert found is not None
    assert (found.low, found.high) == (
        pytest.approx(0.2553, abs=1e-4),
        pytest.approx(0.3662, abs=1e-4),
    )


def test_share_of_all_of_few_is_not_certain() -> None:
    found = share(3, 3)

    assert found is not None
    assert found.value == found.high == 1
    assert found.low is not None
    assert found.low < 0.5


def test_share_of_nothing_is_none() -> None:
    assert share(0, 0) is None
