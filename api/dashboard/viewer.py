# SPDX-License-Identifier: Apache-2.0
"""What the viewer of a report loads and shows; `static/viewer.js` reads it."""

from typing import Any, Final

from flask import url_for

from api.auth import VIEW
from db.tables import ReportRow
from hilum.catalogue import pipeline_card
from hilum.render import LUNG_COLOR, OPACITY

WINDOWS_HU: Final = {
    "Lung": (-1350.0, 150.0),
    "Mediastinum": (-125.0, 225.0),
    "Bone": (-500.0, 1300.0),
}
"""Level -600, width 1500; level 50, width 350; level 400, width 1800; docs/sources.md has the reference."""

VIEWS: Final = {
    "axial": "Axial",
    "coronal": "Coronal",
    "sagittal": "Sagittal",
    "planes": "Three planes",
    "render": "3D",
}
"""What can be looked at, by the name that the script has for it."""


def viewer_of(row: ReportRow) -> dict[str, Any]:
    """Return where the viewer finds a report's images, and how it shows them."""
    report = url_for("reports.show", job_id=row.job_id)
    slices = row.document["slices"]
    return {
        "volume": f"{report}/volume.nii.gz?{VIEW}",
        "lesions": f"{report}/masks/lesions.nii.gz?{VIEW}",
        "lungs": f"{report}/masks/lungs.nii.gz?{VIEW}",
        "picture": f"{report}/slices/{{index}}.png",
        "script": url_for("static", filename="vendor/@niivue/niivue/niivue.umd.js"),
        "count": len(slices),
        "begin": _begin(slices),
        "windows": WINDOWS_HU,
        "views": VIEWS,
        "opacity": OPACITY,
        "labels": [
            {"value": label.value, "name": label.name, "color": label.color}
            for label in pipeline_card(row.pipeline).labels
        ],
        "lung_color": LUNG_COLOR,
    }


def _begin(slices: list[dict[str, Any]]) -> int:
    """Return the slice with most lesion, else the middle one."""
    areas = [one["lesion_mm2"] for one in slices]
    return areas.index(max(areas)) if max(areas) > 0 else len(areas) // 2
