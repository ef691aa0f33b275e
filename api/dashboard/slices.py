# SPDX-License-Identifier: Apache-2.0
"""What a report says slice by slice, for the chart that leads the viewer."""

from collections.abc import Mapping
from typing import Any


def share_by_slice(report: Mapping[str, Any]) -> list[float]:
    """Return the lesion share, 0..1, of the lung of each slice of a report's document, [z].

    A slice without lung has none.
    """
    return [
        round(one["lesion_mm2"] / one["lung_mm2"], 4) if one["lung_mm2"] > 0 else 0.0
        for one in report["slices"]
    ]
