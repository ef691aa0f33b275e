"""Shares become grades and verdicts at the cuts that the thresholds state."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.grading import MOSMED, THRESHOLDS, Grade, Verdict, assess, grade_share

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
