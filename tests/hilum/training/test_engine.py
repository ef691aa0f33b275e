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
from hilum.training.engine import _schedule, blank, learn, start_from, write
from hilum.training.recipe import Recipe
from hilum.training.state import State
from hilum.training.validation import mean_dice

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


@pytest.fixture
def four() -> list[Example]:
    """Four slices with one round lesion each, of either class, in a corner of its own."""
    side_px = TINY.side_px
    rows, columns = np.mgrid[:side_px, :side_px]
    corners = [(16, 16, 1), (16, 48, 2), (48, 16, 2), (48, 48, 1)]
    labels = [
        (((rows - row) ** 2 + (columns - column) ** 2 < 100) * label).astype(np.uint8)
        for row, column, label in corners
    ]
    return [
        Example(name, np.where(one, 0.45 + 0.15 * one, 0.2).astype(np.float32), one)
        for name, one in zip("abcd", labels, strict=True)
    ]


def test_a_network_overfits_four_slices(
    network: LesionRCNN, four: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network is served at 384 px; at the size it learns here, a test of seconds can tell.
    monkeypatch.setattr("hilum.networks.maskrcnn.INPUT_PX", TINY.side_px)
    recipe = dataclasses.replace(TINY, steps=20, batch=4, learning_rate=1e-3, ema_decay=0.5)
    state = State(network, recipe)
    before = mean_dice(state.average, four, device="cpu")

    steps = list(learn(state, Examples(four, []), recipe))

    assert [step.number for step in steps] == list(range(1, 21))
    assert steps[-1].fraction == 1
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert before < 0.3
    assert mean_dice(state.average, four, device="cpu") > 0.7


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


def test_earlier_weights_are_gone_on_from(network: LesionRCNN, tmp_path: Path) -> None:
    write(network, tmp_path / "w.safetensors")

    again = start_from(TINY, tmp_path / "w.safetensors")

    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


@pytest.mark.parametrize(
    ("layers", "learning"),
    [
        (0, set()),
        (1, {"layer4"}),
        (3, {"layer2", "layer3", "layer4"}),
        (4, {"layer1", "layer2", "layer3", "layer4"}),
    ],
)
def test_the_last_layers_of_the_backbone_learn_and_the_ones_before_do_not(
    layers: int, learning: set[str]
) -> None:
    body = blank(dataclasses.replace(TINY, trainable_layers=layers)).backbone.body

    found = {name.split(".")[0] for name, one in body.named_parameters() if one.requires_grad}
    assert found == learning


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


def test_weights_cut_short_are_refused(network: LesionRCNN, tmp_path: Path) -> None:
    write(network, tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(BrokenWeights, match=r"w.safetensors: tensors do not fit a resnet50"):
        start_from(TINY, tmp_path / "w.safetensors")


def test_steps_go_on_where_a_state_stands(network: LesionRCNN, pair: Examples) -> None:
    state = State(network, TINY)
    list(islice(learn(state, pair, TINY), 3))

    numbers = [step.number for step in islice(learn(state, pair, TINY), 2)]

    assert numbers == [4, 5]
