from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hilum.evaluation.evaluate import Look
from hilum.evaluation.release import Trained, release
from hilum.networks.maskrcnn import build
from hilum.networks.weights import load_path, read_card
from hilum.training.batches import Examples
from hilum.training.engine import write
from hilum.training.recipes import Recipe


@pytest.fixture
def trained(seen: Callable[..., Look], tmp_path: Path) -> Trained:
    """A run that learnt nothing, with three slices and one control to judge it."""
    torch.manual_seed(3)
    weights = tmp_path / "tiny-float32.safetensors"
    write(build("resnet50"), weights)
    judged = Examples([seen(name).example for name in "xyz"], [seen("c", label=0).example])
    learnt = Examples([seen("l").example], [])
    return Trained(Recipe("tiny", "resnet50"), weights, 7, learnt, judged)


def test_a_release_can_be_loaded_and_says_where_it_comes_from(
    trained: Trained, tmp_path: Path
) -> None:
    looked: list[str] = []

    card, evaluation = release(
        trained, tmp_path / "out", version="1.2.3", progress=lambda one: looked.append(one.name)
    )

    segmenter = load_path(tmp_path / "out" / "maskrcnn-tiny.safetensors", device="cpu")
    assert segmenter.info == card.info
    assert segmenter.info.operating_point == evaluation.threshold
    assert card == read_card(tmp_path / "out" / "maskrcnn-tiny.safetensors")
    assert card.version == "1.2.3"
    assert card.recipe["steps_made"] == 7
    assert card.data["learnt"] == ["l"]
    assert card.data["held_out"] == ["x", "y", "z"]
    assert {"dice", "dice_float32", "dice_cross_fitted"} <= set(card.metrics)
    assert "seconds_per_slice" not in card.metrics
    assert looked == ["x", "y", "z", "c", "x", "y", "z"]
