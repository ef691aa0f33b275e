import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import LesionRCNN
from hilum.training.recipe import Recipe
from hilum.training.state import State, check_identity, make_optimiser, read_checkpoint

TINY = Recipe("tiny", "resnet50", learning_rate=1e-3, backbone_rate=0.5, weight_decay=0.02)


def test_the_optimiser_has_a_group_for_each_rate_and_decay(network: LesionRCNN) -> None:
    groups = make_optimiser(network, TINY).param_groups

    kinds = {(group["peak"], group["weight_decay"]): group["params"] for group in groups}
    assert set(kinds) == {(5e-4, 0.02), (1e-3, 0.02), (1e-3, 0.0)}
    assert all(parameter.ndim == 1 for parameter in kinds[1e-3, 0.0])
    assert sum(map(len, kinds.values())) == len(list(network.parameters()))


def test_frozen_parameters_are_not_stepped() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].weight.requires_grad_(requires_grad=False)

    groups = make_optimiser(network, TINY).param_groups

    stepped = [parameter for group in groups for parameter in group["params"]]
    assert not any(parameter is network[0].weight for parameter in stepped)
    assert len(stepped) == 3


def test_the_average_moves_by_what_the_decay_leaves(network: LesionRCNN) -> None:
    state = State(network, TINY)
    bias = state.network.dense_head.scores.bias
    with torch.no_grad():
        bias += 1.0

    state.follow(0.75)

    torch.testing.assert_close(state.average.dense_head.scores.bias, bias - 0.75)


def test_a_checkpoint_of_an_older_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 0}, tmp_path / "old.checkpoint")

    with pytest.raises(ConfigurationError, match="checkpoint of format 0, expected 1"):
        read_checkpoint(tmp_path / "old.checkpoint")


def test_a_run_on_other_slices_is_another_run() -> None:
    expected = {"recipe": dataclasses.asdict(TINY), "learnt": ["a", "b"], "fold": None}

    with pytest.raises(ConfigurationError, match="differs in fold, learnt;"):
        check_identity(Path("x"), expected | {"learnt": ["a"], "fold": 1}, expected)
