# SPDX-License-Identifier: Apache-2.0
"""What one look of a network takes: memory, operations, parameters."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import unpack
from hilum.training.run import load_trained, memory_peak_mb

STATISTICS = (".running_mean", ".running_var")
"""Tensors that were counted, not learnt."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one look takes.

    Attributes:
        parameters: numbers learnt.
        gflop: floating-point operations of convolutions and matrices for one slice, in 10^9; a
            product and its sum are two.
        memory_peak_mb: most memory, MiB, that a process held which loaded the network and looked:
            of the GPU where there is one.
    """

    parameters: int
    gflop: float
    memory_peak_mb: float


def measure_cost(weights: Path, image: NDArray[np.float32], *, device: str = "auto") -> Cost:
    """Measure one look in a process of its own: memory has no peak but that of a whole process.

    Args:
        weights: with a card or a run's record beside them.
        image: [h, w], 0..1; how many lesions are found in it decides part of the operations.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_measure, weights, image, device).result()


def count_gflop(segmenter: Segmenter, image: NDArray[np.float32]) -> float:
    """Count the operations of a look at one slice [h, w], in 10^9."""
    with FlopCounterMode(display=False) as counter:
        segmenter.predict(image[None])
    return float(counter.get_total_flops()) / 1e9


def count_parameters(weights: Path) -> int:
    """Count the learnt numbers of a weights file, whichever way it stores them."""
    state = unpack(load_file(weights))
    return sum(value.numel() for name, value in state.items() if not name.endswith(STATISTICS))


def _measure(weights: Path, image: NDArray[np.float32], device: str) -> Cost:
    segmenter = load_trained(weights, device=device)
    segmenter.predict(image[None])
    memory_mb = memory_peak_mb(segmenter.device)
    # Counting holds results that a look lets go, so memory is read before.
    return Cost(count_parameters(weights), count_gflop(segmenter, image), memory_mb)
