# SPDX-License-Identifier: Apache-2.0
"""The figures of an evaluation by name, as every table shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hilum.evaluation.metrics import Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """How one figure is shown.

    Attributes:
        title: what it is.
        form: format of its number.
    """

    title: str
    form: str = ".3f"


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "dice": Figure("Dice, mean of slices"),
        "dice_cross_fitted": Figure("Dice, operating point chosen on other slices"),
        "dice_median": Figure("Dice, median of slices"),
        "dice_ground_glass": Figure("Dice, ground-glass opacity"),
        "dice_consolidation": Figure("Dice, consolidation"),
        "f1": Figure("F1, pooled pixels"),
        "precision": Figure("precision, pooled pixels"),
        "recall": Figure("recall, pooled pixels"),
        "lesions.ap": Figure("AP, lesions"),
        "lesions.ap50": Figure("AP50, lesions"),
        "lesions.ap75": Figure("AP75, lesions"),
        "ground_glass.ap": Figure("AP, ground-glass opacity"),
        "ground_glass.ap50": Figure("AP50, ground-glass opacity"),
        "ground_glass.ap75": Figure("AP75, ground-glass opacity"),
        "consolidation.ap": Figure("AP, consolidation"),
        "consolidation.ap50": Figure("AP50, consolidation"),
        "consolidation.ap75": Figure("AP75, consolidation"),
        "share.bias": Figure("lesion share, bias (percent points of lung)", "+.2f"),
        "share.lower": Figure("lesion share, lower limit of agreement", "+.2f"),
        "share.upper": Figure("lesion share, upper limit of agreement", "+.2f"),
        "share.error": Figure("lesion share, mean error (percent points)", ".2f"),
        "control_share": Figure("lesion share of lung, controls", ".4f"),
        "controls_clean": Figure("controls under 0.5 % of lung", ".2f"),
        "control_lesions": Figure("lesions falsely found in a control", ".2f"),
        "seconds_per_slice": Figure("seconds a slice"),
    }
)
"""Every figure that may stand in a table, by the path of its fields, in the tables' order."""


def rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield title, value and 95 % interval of each figure that an evaluation has.

    Args:
        values: an `Evaluation` or a card's metrics, as plain values.
    """
    for path, figure in FIGURES.items():
        interval = read(values, path)
        if interval is not None:
            low, high = (format(end, figure.form) for end in (interval.low, interval.high))
            yield figure.title, format(interval.value, figure.form), f"{low} to {high}"


def read(values: Mapping[str, Any], path: str) -> Interval | None:
    """Return the figure at a path of fields, None where there is none."""
    found: Any = values
    for field in path.split("."):
        found = found.get(field) if found else None
    return Interval(**found) if found else None
