# SPDX-License-Identifier: Apache-2.0
"""From lesion burden to a severity grade and a verdict, by versioned thresholds.

Pure arithmetic on shares, so a report can be graded anew without the volume or the GPU.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hilum.errors import InvalidRequest


class Grade(StrEnum):
    """Severity by share of lung affected; see MOSMED for the source of the bins."""

    CT_0 = "CT-0"
    CT_1 = "CT-1"
    CT_2 = "CT-2"
    CT_3 = "CT-3"
    CT_4 = "CT-4"


class Verdict(StrEnum):
    """What the patient's grade means for the ward."""

    NO_FINDING = "No finding"
    MILD = "Mild"
    ALARMING = "Alarming"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The cuts behind a grade; stored with every report they made.

    Attributes:
        version: names this set; a changed number is a new version.
        finding_from: lesion share of lung, 0..1, below which nothing is reported.
        bins: lesion shares, 0..1, at which CT-2, CT-3 and CT-4 begin.
        alarming_from: the lowest grade that makes a patient Alarming.
        review_margin: lesion share, 0..1, on either side of the Alarming cut that asks for review.
        finding_margin: the same for the cut between No finding and Mild.
        source: where the numbers come from.
    """

    version: str
    finding_from: float
    bins: tuple[float, float, float]
    alarming_from: Grade
    review_margin: float
    finding_margin: float
    source: str

    @property
    def alarming_share(self) -> float:
        """Lesion share, 0..1, at which a patient becomes Alarming."""
        begins = (0.0, self.finding_from, *self.bins)
        return begins[list(Grade).index(self.alarming_from)]


MOSMED: Final = Thresholds(
    version="mosmed-2026.1",
    finding_from=0.005,
    bins=(0.25, 0.50, 0.75),
    alarming_from=Grade.CT_2,
    review_margin=0.05,
    finding_margin=0.003,
    source=(
        "Bins: MosMedData CT-0..CT-4 (Morozov et al. 2020, arXiv 2005.06465). The cut between Mild"
        " and Alarming at 25 % and the 0.5 % floor are Hilum's choice; see docs/sources.md."
    ),
)
"""The thresholds of an installation that has chosen no others."""

THRESHOLDS: Final[dict[str, Thresholds]] = {MOSMED.version: MOSMED}
"""Every set ever shipped, so that an old report can be explained; never changed."""

SHIPPED_FAMILY: Final = "mosmed-"
"""Begins the versions that ship, those to come too: nobody else's may."""

VERSION: Final = r"[a-z0-9]+([._-][a-z0-9]+)*"
"""What an installation may call a set of its own."""

LONGEST_VERSION: Final = 64
LONGEST_SOURCE: Final = 1000
"""Characters."""


def check_thresholds(thresholds: Thresholds) -> None:
    """Make sure that an installation may grade by a set of its own.

    Raises:
        InvalidRequest: its name is taken or malformed, its cuts do not rise, or a margin is wider
            than its cut.
    """
    for complaint in (_about_words(thresholds), _about_cuts(thresholds)):
        if complaint:
            raise InvalidRequest(complaint)


def _about_words(thresholds: Thresholds) -> str:
    version = thresholds.version
    if len(version) > LONGEST_VERSION or re.fullmatch(VERSION, version) is None:
        return (
            f"A version is at most {LONGEST_VERSION} small letters and digits, with dots, dashes or"
            " underscores between them, such as ward-7.1."
        )
    if version.startswith(SHIPPED_FAMILY):
        return f"{version} is taken: names with {SHIPPED_FAMILY} are those of Hilum's own sets."
    if not thresholds.source.strip() or len(thresholds.source) > LONGEST_SOURCE:
        return (
            "Thresholds need a source: who decided, and why, in at most"
            f" {LONGEST_SOURCE} characters."
        )
    return ""


def _about_cuts(thresholds: Thresholds) -> str:
    cuts = (thresholds.finding_from, *thresholds.bins)
    # Written so that what is no number at all fails, too.
    if not (0 < cuts[0] < cuts[1] < cuts[2] < cuts[3] <= 1):
        return (
            "The cuts are shares of lung that rise, above 0 and at most 1, found"
            f" {', '.join(f'{cut:g}' for cut in cuts)}."
        )
    if thresholds.alarming_from is Grade.CT_0:
        return "A patient without a finding is never Alarming, expected CT-1 to CT-4."
    margins = (
        (thresholds.review_margin, thresholds.alarming_share, "Alarming begins"),
        (thresholds.finding_margin, thresholds.finding_from, "a finding begins"),
    )
    for margin, cut, where in margins:
        if not 0 <= margin <= cut:
            return f"A margin is {margin:g}, expected 0 to {cut:g}, the share where {where}."
    return ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """A graded lesion burden.

    Attributes:
        grade: of both lungs together; it makes the verdict.
        grade_right, grade_left: of each lung alone.
        verdict: for the patient.
        review: sentences why a person should look before the verdict is used; empty when none.
        thresholds: version of the cuts used.
    """

    grade: Grade
    grade_right: Grade
    grade_left: Grade
    verdict: Verdict
    review: tuple[str, ...]
    thresholds: str


def grade_share(share: float, thresholds: Thresholds = MOSMED) -> Grade:
    """Return the grade of a lesion share of lung, 0..1."""
    if share < thresholds.finding_from:
        return Grade.CT_0
    return list(Grade)[1 + sum(share >= cut for cut in thresholds.bins)]


def assess(
    *,
    share: float,
    share_right: float,
    share_left: float,
    doubts: tuple[str, ...] = (),
    thresholds: Thresholds = MOSMED,
) -> Assessment:
    """Grade a patient by the lesion share of each lung and of both.

    Args:
        share: lesion volume over lung volume, 0..1, both lungs together.
        share_right: the same of the right lung alone.
        share_left: the same of the left lung alone.
        doubts: sentences from the pipeline about what it could not trust; each asks for review.
        thresholds: the cuts to use.
    """
    grade = grade_share(share, thresholds)
    return Assessment(
        grade=grade,
        grade_right=grade_share(share_right, thresholds),
        grade_left=grade_share(share_left, thresholds),
        verdict=verdict_of(grade, thresholds),
        review=(*doubts, *_near_cuts(share, thresholds)),
        thresholds=thresholds.version,
    )


def verdict_of(grade: Grade, thresholds: Thresholds) -> Verdict:
    """Return what a patient's grade means for the ward."""
    if grade is Grade.CT_0:
        return Verdict.NO_FINDING
    grades = list(Grade)
    severe = grades.index(grade) >= grades.index(thresholds.alarming_from)
    return Verdict.ALARMING if severe else Verdict.MILD


def _near_cuts(share: float, thresholds: Thresholds) -> tuple[str, ...]:
    cuts = (
        (thresholds.alarming_share, thresholds.review_margin, "Mild and Alarming"),
        (thresholds.finding_from, thresholds.finding_margin, "No finding and Mild"),
    )
    return tuple(
        f"The lesion share of {share:.1%} is within {margin:.1%} of the cut between {between}"
        f" at {cut:.1%}."
        for cut, margin, between in cuts
        if abs(share - cut) < margin
    )
