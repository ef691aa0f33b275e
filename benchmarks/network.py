# SPDX-License-Identifier: Apache-2.0
"""Seconds a slice of the shipped network, beside torchvision's defaults on the same slices.

Defaults means `maskrcnn_resnet50_fpn` as it comes: float32, 800 px, 1,000 proposals, one slice a
call. It is untrained here, which does not change its backbone's or its proposals' cost.

    python -m benchmarks.network [--network resnet50] [--slices 16]
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models.detection import maskrcnn_resnet50_fpn

from hilum.networks.detections import lesion_map
from hilum.networks.maskrcnn import CLASSES, Segmenter
from hilum.networks.weights import load
from hilum.phantom import make_phantom
from hilum.volume import apply_window

BASELINE_SLICES = 4
"""As many as the baseline is timed on: it takes seconds for each."""


def measure(network: str, slices: int) -> dict[str, Any]:
    images = lung_crops(slices)
    segmenter = load(network)
    segmenter.warm_up()
    ours_s = timed(lambda: segment(segmenter, images)) / len(images)
    defaults_s = timed(torchvision_defaults(images[:BASELINE_SLICES])) / BASELINE_SLICES
    return {
        "benchmark": "network",
        "network": segmenter.info.name,
        "device": str(segmenter.device),
        "dtype": str(segmenter.dtype),
        "threads": torch.get_num_threads(),
        "crop_px": list(images.shape[1:]),
        "seconds_per_slice": round(ours_s, 4),
        "torchvision_defaults_seconds_per_slice": round(defaults_s, 3),
        "times_faster": round(defaults_s / ours_s, 1),
    }


def lung_crops(count: int) -> NDArray[np.float32]:
    """Return slices [n, h, w] of a phantom with lesions, cropped to its lungs."""
    phantom = make_phantom(slices=2 * count)
    inside = np.nonzero(phantom.lungs)
    rows, columns = (slice(int(axis.min()), int(axis.max()) + 1) for axis in inside[1:])
    middle = phantom.voxels[count // 2 : count // 2 + count, rows, columns]
    return apply_window(middle)


def segment(segmenter: Segmenter, images: NDArray[np.float32]) -> None:
    height, width = images.shape[1:]
    for detections in segmenter.predict(images):
        lesion_map(detections, (height, width))


def torchvision_defaults(images: NDArray[np.float32]) -> Callable[[], None]:
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
    network.eval()

    @torch.inference_mode()
    def run() -> None:
        for image in images:
            network([torch.from_numpy(image).expand(3, -1, -1)])

    return run


def timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--slices", type=int, default=16)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
