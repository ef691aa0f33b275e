from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hilum.evaluation.cost import count_gflop, count_parameters, measure_cost
from hilum.networks.maskrcnn import build
from hilum.training.run import load_trained

IMAGE = np.full((96, 96), 0.5, np.float32)


def test_parameters_are_those_of_torchvision_and_its_norms(runs: Path) -> None:
    network = build("resnet50")
    norms = sum(
        2 * module.weight.numel()
        for module in network.modules()
        if type(module).__name__ == "FrozenBatchNorm2d"
    )

    expected = norms + sum(parameter.numel() for parameter in network.parameters())

    assert count_parameters(runs / "tiny.safetensors") == expected


def test_operations_are_those_of_convolutions_and_matrices_by_hand(runs: Path) -> None:
    segmenter = load_trained(runs / "tiny.safetensors", device="cpu")
    counted = 0

    def count(module: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        nonlocal counted
        if isinstance(module, nn.ConvTranspose2d):
            # Each pixel given meets the whole kernel once.
            counted += 2 * given[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d):
            counted += 2 * made.numel() * module.weight[0].numel()
        else:
            counted += 2 * made.numel() * given[0].shape[-1]

    for module in segmenter._network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(count)

    # The hooks count during the very look that torch counts.
    assert count_gflop(segmenter, IMAGE) == pytest.approx(counted / 1e9, rel=0.001)


def test_a_look_is_weighed_in_a_process_of_its_own(runs: Path) -> None:
    cost = measure_cost(runs / "tiny.safetensors", IMAGE, device="cpu")

    assert cost.parameters == count_parameters(runs / "tiny.safetensors")
    # The weights alone are 120 MiB; torch takes the rest.
    assert 4 * cost.parameters / 2**20 < cost.memory_peak_mb < 8000
    assert cost.gflop > 1
