# SPDX-License-Identifier: Apache-2.0
"""What changed from one report to another, and what makes the two hard to compare.

Pure arithmetic on what reports say, of the same study by another network or of the same patient at
another time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

from hilum.findings import LungBurden

SIDES: Final = ("right", "left", "total")
"""As in a report's document."""

SPACING_TOLERANCE_MM: Final = 0.1
"""Positions are decimal strings that vendors round, so equal series differ by a little."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a report is held against another.

    Attributes:
        pipeline: with its version, `name@version`.
        network: likewise.
        thresholds: version of the cuts.
        verdict, grade: for the patient.
        study_date: when the patient was scanned; None where the study does not say.
        slice_mm: from one slice to the next.
        burden: of the right and the left lung and in total.
    """

    pipeline: str
    network: str
    thresholds: str
    verdict: str
    grade: str
    study_date: date | None
    slice_mm: float
    burden: Mapping[str, LungBurden]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number before and after.

    Attributes:
        before, after: in the same unit.
    """

    before: float
    after: float

    @property
    def absolute(self) -> float:
        """How much more it became; negative where it became less."""
        return self.after - self.before

    @property
    def relative(self) -> float | None:
        """The same as a share of what it was before; None where that was nothing."""
        return self.absolute / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class SideChange:
    """What changed in one lung, or in both.

    Attributes:
        lung_ml, lesion_ml: millilitres.
        share: lesion volume over lung volume, 0..1.
    """

    lung_ml: Amount
    lesion_ml: Amount
    share: Amount

    @classmethod
    def between(cls, before: LungBurden, after: LungBurden) -> Self:
        """Return what changed from one burden to another."""
        return cls(
            Amount(before.lung_ml, after.lung_ml),
            Amount(before.lesion_ml, after.lesion_ml),
            Amount(before.share, after.share),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What changed from one report to another.

    Attributes:
        before, after: what both say.
        days: between the scans, never negative where `before` is the earlier; None where a date is
            not known.
        sides: of the right and the left lung and in total.
        by_label: millilitres of lesion of each class that either report has, by its name.
        warnings: sentences why the difference may not be the patient's; empty when none.
    """

    before: Reading
    after: Reading
    days: int | None
    sides: Mapping[str, SideChange]
    by_label: Mapping[str, Amount]
    warnings: tuple[str, ...]

    @property
    def total(self) -> SideChange:
        """Of both lungs together."""
        return self.sides["total"]


def burden_of(side: Mapping[str, Any]) -> LungBurden:
    """Return the burden of one side of a report's document."""
    return LungBurden(side["lung_ml"], side["lesion_ml"], side.get("by_label") or {})


def change_between(before: Reading, after: Reading) -> Change:
    """Return what changed from one report to another."""
    sides = {side: SideChange.between(before.burden[side], after.burden[side]) for side in SIDES}
    return Change(
        before,
        after,
        _days(before, after),
        sides,
        _by_label(before, after),
        tuple(_warnings(before, after)),
    )


def _days(before: Reading, after: Reading) -> int | None:
    if before.study_date is None or after.study_date is None:
        return None
    return (after.study_date - before.study_date).days


def _by_label(before: Reading, after: Reading) -> dict[str, Amount]:
    one, other = before.burden["total"].by_label, after.burden["total"].by_label
    # A class that one of the two does not name was not found there.
    return {name: Amount(one.get(name, 0.0), other.get(name, 0.0)) for name in {**one, **other}}


def _warnings(before: Reading, after: Reading) -> Iterator[str]:
    kinds = (
        ("pipelines", before.pipeline, after.pipeline),
        ("networks", before.network, after.network),
        ("thresholds", before.thresholds, after.thresholds),
    )
    for kind, one, other in kinds:
        if one != other:
            yield f"The {kind} differ, {one} and {other}: part of the difference may be theirs."
    if abs(before.slice_mm - after.slice_mm) > SPACING_TOLERANCE_MM:
        yield (
            f"The slices lie {before.slice_mm:.3g} mm and {after.slice_mm:.3g} mm apart:"
            " small lesions are measured differently."
        )
