# SPDX-License-Identifier: Apache-2.0
"""Slices a second by the size of a batch, and the share of the chip's own matrix product.

The peak is measured in the same run, as a large square product in the precision of the network,
so that a figure means something on any chip. On a GPU, its utilisation is read beside.

    python -m benchmarks.throughput [--network resnet50] [--batches 1 4 16]
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.network import lung_crops
from hilum.evaluation.cost import count_gflop
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import load

BATCHES = {"cpu": (1, 2, 4, 8), "cuda": (1, 2, 4, 8, 16, 32, 64)}

SIDE = {"cpu": 2048, "cuda": 8192}
"""Side of the matrices of the peak."""

SECONDS = {"cpu": 4.0, "cuda": 3.0}
"""Each figure is measured over at least this long."""


def measure(network: str, batches: Sequence[int] | None) -> dict[str, Any]:
    segmenter = load(network)
    kind = segmenter.device.type
    batches = batches or BATCHES[kind]
    images = lung_crops(max(batches))
    gflop = count_gflop(load(network), images[len(images) // 2])
    peak = matrix_gflops(segmenter.device, segmenter.dtype)
    rows = []
    for size in batches:
        segmenter.batch = size
        seconds, utilisation = repeat(lambda size=size: segmenter.predict(images[:size]), segmenter)
        rows.append(
            {
                "batch": size,
                "slices_per_second": round(size / seconds, 2),
                "share_of_peak": round(size * gflop / seconds / peak, 3),
                "utilisation_percent": utilisation,
            }
        )
    return {
        "benchmark": "throughput",
        "network": f"{segmenter.info.name} {segmenter.info.version}",
        "device": str(segmenter.device),
        "dtype": str(segmenter.dtype),
        "threads": torch.get_num_threads(),
        "gflop_per_slice": round(gflop, 1),
        "matrix_product_gflops": round(peak),
        "rows": rows,
    }


def matrix_gflops(device: torch.device, dtype: torch.dtype) -> float:
    side = SIDE[device.type]
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> None:
        torch.mm(one, other)
        synchronise(device)

    multiply()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS[device.type]:
        multiply()
        count += 1
    return 2 * side**3 * count / (time.perf_counter() - begun) / 1e9


def repeat(look: Callable[[], Any], segmenter: Segmenter) -> tuple[float, float | None]:
    """Return the seconds of one look and, on a GPU, how busy it said it was, in percent."""
    look()
    seconds = SECONDS[segmenter.device.type]
    begun, count, busy = time.perf_counter(), 0, []
    while time.perf_counter() - begun < seconds:
        look()
        count += 1
        if segmenter.device.type == "cuda":
            busy.append(torch.cuda.utilization(segmenter.device))
    taken = (time.perf_counter() - begun) / count
    return taken, round(sum(busy) / len(busy), 1) if busy else None


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--batches", type=int, nargs="+")
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
