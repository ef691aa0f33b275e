import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hilum.errors import BrokenWeights, ConfigurationError
from hilum.networks.maskrcnn import LesionRCNN
from hilum.networks.weights import pack
from hilum.training.augment import STILL
from hilum.training.batches import Examples
from hilum.training.data import Example
from hilum.training.engine import FROZEN, _schedule, learn, start_from, write
from hilum.training.recipe import Recipe
from hilum.training.state import State

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
def pair(blob: Callable[..., Example]) -> Examples:
    """Two slices to learn by heart."""
    shape = (64, 64)
    return Examples([blob("a", shape=shape), blob("b", shape=shape, label=2)], [])


def test_a_few_steps_on_two_slices_lower_the_loss(network: LesionRCNN, pair: Examples) -> None:
    state = State(network, TINY)

    steps = list(learn(state, pair, TINY))

    assert [step.number for step in steps] == list(range(1, 9))
    assert steps[-1].fraction == 1
    assert state.number == 8
    assert sum(step.loss for step in steps[-2:]) < 0.9 * sum(step.loss for step in steps[:2])


def test_the_rate_rises_then_falls_to_zero() -> None:
    recipe = dataclasses.replace(TINY, steps=100, warmup_steps=10)

    rates = [_schedule(number, number / 100, recipe) for number in range(1, 101)]

    assert rates[:9] == sorted(rates[:9])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) > 0.95
    assert rates[-1] == pytest.approx(0)


def test_a_time_limit_ends_the_schedule_early(network: LesionRCNN, pair: Examples) -> None:
    steps = list(learn(State(network, TINY), pair, TINY, minutes=1e-9))

    assert [(step.number, step.fraction) for step in steps] == [(1, 1.0)]


def test_time_spent_before_a_pause_counts_against_the_limit(
    network: LesionRCNN, pair: Examples
) -> None:
    state = State(network, TINY)
    state.spent_s = 30.0

    step = next(learn(state, pair, TINY, minutes=1.0))

    assert 0.5 <= step.fraction < 1


def test_the_average_lags_behind_the_network(network: LesionRCNN, pair: Examples) -> None:
    before = network.roi_heads.box_predictor.cls_score.weight.detach().clone()
    state = State(network, TINY)

    next(learn(state, pair, TINY))

    def moved(one: LesionRCNN) -> float:
        weight = one.roi_heads.box_predictor.cls_score.weight
        return float((weight.detach() - before).abs().sum())

    assert 0 < moved(state.average) < moved(state.network)


def test_a_loss_that_is_not_finite_stops_with_the_slices_named(
    network: LesionRCNN, pair: Examples
) -> None:
    image = np.full((64, 64), np.nan, np.float32)
    broken = [dataclasses.replace(one, image=image) for one in pair.lesions]

    with pytest.raises(ConfigurationError, match=r"slices [ab], [ab]: loss nan.*finite"):
        next(learn(State(network, TINY), Examples(broken, []), TINY))


def test_a_file_is_written_whole_or_not_at_all(network: LesionRCNN, tmp_path: Path) -> None:
    write(network, tmp_path / "w.safetensors")

    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_earlier_weights_are_gone_on_from_with_their_first_layers_frozen(
    network: LesionRCNN, tmp_path: Path
) -> None:
    write(network, tmp_path / "w.safetensors")

    again = start_from(TINY, tmp_path / "w.safetensors")

    body = dict(again.backbone.body.named_parameters())
    assert not any(one.requires_grad for name, one in body.items() if name.startswith(FROZEN))
    assert body["layer2.0.conv1.weight"].requires_grad
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_shipped_weights_of_whole_numbers_can_be_gone_on_from(
    network: LesionRCNN, tmp_path: Path
) -> None:
    save_file(pack(network.state_dict()), tmp_path / "w.safetensors")

    again = start_from(TINY, tmp_path / "w.safetensors")

    kept, before = (one.dense_head.join[0].weight for one in (again, network))
    assert (kept - before).abs().max() < before.abs().max() / 100


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "w.safetensors")

    with pytest.raises(BrokenWeights, match=r"w.safetensors: tensors do not fit a resnet50"):
        start_from(TINY, tmp_path / "w.safetensors")


def test_steps_go_on_where_a_state_stands(network: LesionRCNN, pair: Examples) -> None:
    state = State(network, TINY)
    list(islice(learn(state, pair, TINY), 3))

    numbers = [step.number for step in islice(learn(state, pair, TINY), 2)]

    assert numbers == [4, 5]
