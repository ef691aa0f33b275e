# SPDX-License-Identifier: Apache-2.0
"""What each shipped network finds in chests whose answer is known to the voxel; prints JSON.

    python -m benchmarks.phantom [STUDY ...]

A study named is read as well, its lesion share and verdict beside the phantoms'.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hilum.findings import Analysis
from hilum.networks.weights import NETWORKS, load
from hilum.phantom import Phantom, make_phantom
from hilum.pipelines.analyse import analyse_fully

THICK = 24
"""Slices of a phantom whose planes are 13 mm apart, where vessels blur into what looks like glass."""


def main() -> None:
    ill, fine, thick = (
        make_phantom(),
        make_phantom(lesions=()),
        make_phantom(lesions=(), slices=THICK),
    )
    result: dict[str, Any] = {"planted_ml": round(ill.lesion_ml, 1)}
    for name in NETWORKS:
        info = load(name).info
        found = seen(ill, name)
        result[f"{info.name} {info.version}"] = {
            "found_ml": round(found.report.total.lesion_ml, 1),
            "dice": round(overlap(ill, found), 3),
            "healthy_share": round(seen(fine, name).report.total.share, 5),
            "healthy_share_thick_slices": round(seen(thick, name).report.total.share, 5),
            "studies": {path.name: read(path, name) for path in map(Path, sys.argv[1:])},
        }
    print(json.dumps(result, indent=2))


def seen(phantom: Phantom, network: str) -> Analysis:
    with TemporaryDirectory(prefix="hilum-bench-") as scratch:
        phantom.write_dicom(Path(scratch))
        return analyse_fully(Path(scratch), network=network)


def overlap(phantom: Phantom, analysis: Analysis) -> float:
    found, planted = analysis.lesions > 0, phantom.lesions > 0
    both = np.count_nonzero(found & planted)
    return 2 * both / (np.count_nonzero(found) + np.count_nonzero(planted))


def read(study: Path, network: str) -> dict[str, Any]:
    report = analyse_fully(study, network=network).report
    return {"share": round(report.total.share, 5), "verdict": report.assessment.verdict}


if __name__ == "__main__":
    main()
