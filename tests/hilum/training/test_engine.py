import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models.detection import MaskRCNN

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import build
from hilum.training import engine
from hilum.training.augment import STILL
from hilum.training.batches import Examples
from hilum.training.data import Example
from hilum.training.engine import _schedule, learn, write
from hilum.training.recipes import Recipe

TINY = Recipe(
    "tiny",
    "resnet50",
    steps=8,
    batch=2,
    side_px=64,
    warmup_steps=2,
    control_share=0.0,
    variation=STILL,
)


@pytest.fixture
def network() -> MaskRCNN:
    """An untrained network whose residual branches start quiet, so that few steps suffice."""
    torch.manual_seed(1)
    network = build("resnet50")
    for block in network.backbone.body.modules():
        if hasattr(block, "bn3"):
            block.bn3.weight.fill_(0.2)
    return network


@pytest.fixture
def pair(blob: Callable[..., Example]) -> Examples:
    """Two slices to learn by heart."""
    shape = (64, 64)
    return Examples([blob("a", shape=shape), blob("b", shape=shape, label=2)], [])


def test_a_few_steps_on_two_slices_lower_the_loss(network: MaskRCNN, pair: Examples) -> None:
    steps = [step for step, _ in learn(network, pair, TINY)]

    assert [step.number for step in steps] == list(range(1, 9))
    assert steps[-1].fraction == 1
    assert sum(step.loss for step in steps[-2:]) < 0.9 * sum(step.loss for step in steps[:2])


def test_the_rate_rises_then_falls_to_zero() -> None:
    recipe = dataclasses.replace(TINY, steps=100, warmup_steps=10)

    rates = [_schedule(number, number / 100, recipe) for number in range(1, 101)]

    assert rates[:9] == sorted(rates[:9])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) > 0.95
    assert rates[-1] == pytest.approx(0)


def test_a_time_limit_ends_the_schedule_early(network: MaskRCNN, pair: Examples) -> None:
    steps = [step for step, _ in learn(network, pair, TINY, minutes=1e-9)]

    assert len(steps) == 1
    assert steps[0].fraction == 1


def test_the_average_lags_behind_the_network(network: MaskRCNN, pair: Examples) -> None:
    before = network.roi_heads.box_predictor.cls_score.weight.detach().clone()

    (_, average), *_ = islice(learn(network, pair, TINY), 1)

    def moved(one: MaskRCNN) -> float:
        weight = one.roi_heads.box_predictor.cls_score.weight
        return (weight.detach() - before).abs().sum().item()

    assert 0 < moved(average) < moved(network)


def test_a_loss_that_is_not_finite_stops_with_the_slices_named(
    network: MaskRCNN, pair: Examples
) -> None:
    image = np.full((64, 64), np.nan, np.float32)
    broken = [dataclasses.replace(one, image=image) for one in pair.lesions]

    with pytest.raises(ConfigurationError, match=r"slices [ab], [ab]: loss nan.*finite"):
        next(learn(network, Examples(broken, []), TINY))


def test_training_writes_the_averaged_weights_it_ends_with(
    network: MaskRCNN, pair: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "read_examples", lambda *_: (pair, pair))
    monkeypatch.setattr(engine, "start", lambda *_: network)
    seen: list[int] = []

    path = engine.train(
        dataclasses.replace(TINY, steps=2),
        data=tmp_path,
        out=tmp_path / "tiny.safetensors",
        device="cpu",
        progress=lambda step: seen.append(step.number),
    )

    assert seen == [1, 2]
    assert build("resnet50").load_state_dict(load_file(path))


def test_a_file_is_written_whole_or_not_at_all(network: MaskRCNN, tmp_path: Path) -> None:
    write(network, tmp_path / "w.safetensors")

    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
