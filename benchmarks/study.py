# SPDX-License-Identifier: Apache-2.0
"""How long a whole study takes, by stage, and against torchvision's defaults; prints JSON.

BENCH_STUDY=folder-or-zip python -m benchmarks.study; without it, a phantom.
"""

import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn

from hilum.archive import DEFAULT_LIMITS, unpack
from hilum.catalogue import CT_LESIONS
from hilum.dicom.read import read_study
from hilum.findings import Analysis
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import load
from hilum.phantom import make_phantom
from hilum.pipelines.base import run_pipeline
from hilum.volume import apply_window
from worker.artifacts import make_files

BASELINE_SLICES = 4
"""Slices that torchvision's defaults are timed on; more only take longer."""


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(os.cpu_count() or 1)
    network = os.environ.get("BENCH_NETWORK", CT_LESIONS.networks[0])
    begun = time.perf_counter()
    segmenter = load(network)
    segmenter.warm_up()
    loading_s = time.perf_counter() - begun
    with TemporaryDirectory(prefix="hilum-bench-") as scratch:
        name, source = _source(Path(scratch))
        analysis, timings_s = _whole_job(source, segmenter)
    result = {
        "study": name,
        "network": network,
        "device": str(segmenter.device),
        "dtype": str(segmenter.dtype),
        "loading_once_s": round(loading_s, 3),
        **_summary(analysis, timings_s),
    }
    print(json.dumps(result | _against_defaults(analysis, result), indent=2))


def _source(scratch: Path) -> tuple[str, Path | list[Path]]:
    given = os.environ.get("BENCH_STUDY")
    if given is None:
        make_phantom().write_dicom(scratch / "phantom")
        return "phantom", scratch / "phantom"
    path = Path(given)
    return path.name, path if path.is_dir() else unpack(path, scratch, DEFAULT_LIMITS)


def _whole_job(
    source: Path | list[Path], segmenter: Segmenter
) -> tuple[Analysis, dict[str, float]]:
    """Do what a worker does with a study, from its files to the files of its report."""
    begun = time.perf_counter()
    study = read_study(source)
    headers_s = time.perf_counter() - begun
    analysis = run_pipeline(study, CT_LESIONS, segmenter)
    begun = time.perf_counter()
    for _ in make_files(analysis):
        pass
    writing_s = time.perf_counter() - begun
    return analysis, {"headers": headers_s, **analysis.report.timings_s, "writing": writing_s}


def _summary(analysis: Analysis, timings_s: dict[str, float]) -> dict[str, Any]:
    slices = len(analysis.report.slices)
    total_s = sum(timings_s.values())
    return {
        "slices": slices,
        "slices_with_lung": sum(one.lung_mm2 > 0 for one in analysis.report.slices),
        "stages_s": {stage: round(seconds, 3) for stage, seconds in timings_s.items()},
        "total_s": round(total_s, 2),
        "seconds_per_slice": round(total_s / slices, 4),
        "verdict": analysis.report.assessment.verdict,
        "lesion_share": round(analysis.report.total.share, 4),
    }


def _against_defaults(analysis: Analysis, result: dict[str, Any]) -> dict[str, Any]:
    """Time the same slices, whole and one a call, through torchvision's Mask R-CNN as it comes."""
    # Untrained weights decide how many boxes get a mask, so they are the same in each run.
    torch.manual_seed(0)
    default = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    default.eval().to(result["device"])
    areas = np.array([one.lung_mm2 for one in analysis.report.slices])
    largest = np.argsort(areas)[-BASELINE_SLICES:]
    images = apply_window(analysis.volume.voxels[np.sort(largest)])
    with torch.inference_mode():
        # The first call pays for choosing kernels.
        _time_call(default, images[0])
        seconds = [_time_call(default, image) for image in images]
    per_slice_s = statistics.median(seconds)
    ours_s = result["stages_s"]["slices"] / max(result["slices_with_lung"], 1)
    return {
        "torchvision_defaults": {
            "what": "maskrcnn_resnet50_fpn, untrained, fp32, 800 px, 1000 proposals, one a call",
            "slices": len(seconds),
            "seconds_per_slice": round(per_slice_s, 3),
        },
        "times_faster": {
            "whole_job_per_slice": round(per_slice_s / result["seconds_per_slice"], 1),
            "network_stage_per_slice_with_lung": round(per_slice_s / ours_s, 1),
        },
    }


def _time_call(network: torch.nn.Module, image: np.ndarray[Any, Any]) -> float:
    batch = [torch.from_numpy(image).to(next(network.parameters()).device).expand(3, -1, -1)]
    begun = time.perf_counter()
    found = network(batch)[0]
    # A GPU answers before it is done; the copy waits for it.
    found["masks"].cpu()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
