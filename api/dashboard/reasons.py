# SPDX-License-Identifier: Apache-2.0
"""Why a verdict is what it is, in a sentence and in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy.orm import Session

from db.thresholds import find_thresholds
from hilum.grading import Thresholds


@dataclass(frozen=True, slots=True)
class Reasons:
    """What stands behind a verdict.

    Attributes:
        thresholds: the cuts; None where this version of Hilum does not know them.
        share: of both lungs that is lesion, 0..1.
        to_alarming: share, 0..1, up to the cut of Alarming; below 0 where it is beyond.
    """

    thresholds: Thresholds | None
    share: float
    to_alarming: float | None

    @classmethod
    def of(cls, session: Session, report: Mapping[str, Any]) -> Self:
        """Return what stands behind the verdict of a report."""
        thresholds = find_thresholds(session, report["assessment"]["thresholds"])
        share = report["total"]["share"]
        distance = None if thresholds is None else thresholds.alarming_share - share
        return cls(thresholds, share, distance)

    @property
    def cuts(self) -> list[tuple[str, float]]:
        """Every cut by what begins there, as a share 0..1."""
        if self.thresholds is None:
            return []
        found = self.thresholds
        return [
            ("CT-1", found.finding_from),
            *zip(("CT-2", "CT-3", "CT-4"), found.bins, strict=True),
        ]
