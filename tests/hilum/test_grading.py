"""Shares become grades and verdicts at the cuts that the thresholds state."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import InvalidRequest
from hilum.grading import (
    MOSMED,
    SHIPPED_FAMILY,
    THRESHOLDS,
    Grade,
    Verdict,
    assess,
    check_thresholds,
    grade_share,
)

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("share", "grade"),
    [
        (0.0, Grade.CT_0),
        (0.0049, Grade.CT_0),
        (0.005, Grade.CT_1),
        (0.2499, Grade.CT_1),
        (0.25, Grade.CT_2),
        (0.5, Grade.CT_3),
        (0.75, Grade.CT_4),
        (1.0, Grade.CT_4),
    ],
)
def test_a_grade_begins_at_its_cut(share: float, grade: Grade) -> None:
    assert grade_share(share) is grade


@given(SHARES, SHARES)
def test_more_lesion_never_lowers_the_grade(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert grade_share(low) <= grade_share(high)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.001, Verdict.NO_FINDING), (0.1, Verdict.MILD), (0.4, Verdict.ALARMING)],
)
def test_the_verdict_follows_the_share_of_both_lungs(share: float, verdict: Verdict) -> None:
    assessment = assess(share=share, share_right=0.0, share_left=1.0)

    assert assessment.verdict is verdict
    assert (assessment.grade_right, assessment.grade_left) == (Grade.CT_0, Grade.CT_4)


@pytest.mark.parametrize("share", [0.21, 0.29, 0.004, 0.007])
def test_a_share_near_a_cut_asks_for_review(share: float) -> None:
    assessment = assess(share=share, share_right=share, share_left=share)

    assert len(assessment.review) == 1
    assert f"{share:.1%}" in assessment.review[0]


def test_a_share_far_from_every_cut_asks_for_no_review() -> None:
    assert assess(share=0.12, share_right=0.12, share_left=0.12).review == ()


def test_doubts_of_the_pipeline_ask_for_review() -> None:
    assessment = assess(share=0.12, share_right=0.12, share_left=0.12, doubts=("Lung missing.",))

    assert assessment.review == ("Lung missing.",)


def test_other_thresholds_change_the_verdict_and_leave_their_version() -> None:
    strict = replace(MOSMED, version="strict-1", alarming_from=Grade.CT_1)

    assessment = assess(share=0.1, share_right=0.1, share_left=0.1, thresholds=strict)

    assert assessment.verdict is Verdict.ALARMING
    assert assessment.thresholds == "strict-1"


def test_every_shipped_set_is_listed_under_its_own_version() -> None:
    assert all(version == cuts.version for version, cuts in THRESHOLDS.items())
    assert all(cuts.source for cuts in THRESHOLDS.values())


OWN = replace(MOSMED, version="ward-7.1", source="The ward's own choice.")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": ""}, "A version is"),
        ({"version": "Ward 7"}, "A version is"),
        ({"version": "a" * 65}, "A version is at most 64"),
        ({"version": "<script>"}, "A version is"),
        ({"version": MOSMED.version}, "is taken"),
        ({"version": "mosmed-2099.1"}, "is taken"),
        ({"source": "  "}, "need a source"),
        ({"source": "a" * 1001}, "need a source"),
        ({"finding_from": 0.0}, "rise"),
        ({"finding_from": 0.25}, "rise"),
        ({"finding_from": math.nan}, "rise"),
        ({"bins": (0.5, 0.25, 0.75)}, "rise"),
        ({"bins": (0.25, 0.5, 1.01)}, "rise"),
        ({"bins": (0.25, 0.5, math.inf)}, "rise"),
        ({"alarming_from": Grade.CT_0}, "never Alarming"),
        ({"review_margin": -0.01}, "expected 0 to 0.25"),
        ({"review_margin": 0.26}, "expected 0 to 0.25"),
        ({"finding_margin": 0.006}, "expected 0 to 0.005"),
        ({"finding_margin": math.nan}, "expected 0 to 0.005"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(changes: dict[str, Any], sentence: str) -> None:
    check_thresholds(OWN)

    with pytest.raises(InvalidRequest, match=sentence):
        check_thresholds(replace(OWN, **changes))


def test_shipped_thresholds_make_sense_themselves() -> None:
    for cuts in THRESHOLDS.values():
        assert cuts.version.startswith(SHIPPED_FAMILY)
        check_thresholds(replace(cuts, version="ward-7.1"))
