import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import cli.train
from cli.main import hilum
from hilum.networks.maskrcnn import build
from hilum.networks.weights import load_path
from hilum.training.engine import Step, write
from hilum.training.recipes import Recipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three labelled slices and no controls."""
    labelled = tmp_path / "data" / "ct-lesions" / "labelled"
    for part in ("images", "masks"):
        (labelled / part).mkdir(parents=True)
    for name in "abc":
        mask = np.zeros((40, 48), np.uint8)
        mask[10:20, 10:30] = 1
        Image.fromarray(mask).save(labelled / "masks" / f"{name}.png")
        Image.fromarray(mask * 100 + 50).save(labelled / "images" / f"{name}.png")
    return tmp_path / "data"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe called tiny that holds out two slices."""
    tiny = Recipe("tiny", "resnet50", steps=9, held_out=frozenset("bc"))
    monkeypatch.setattr(cli.train, "RECIPES", MappingProxyType({"tiny": tiny, "resnet50": tiny}))
    return tiny


@pytest.fixture
def fake_loop(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Replaces the training loop, whose own tests are elsewhere, by one that learns nothing."""
    asked: list[Recipe] = []

    def train(recipe: Recipe, *, out: Path, progress: Callable[[Step], None], **_: object) -> Path:
        asked.append(recipe)
        progress(Step(1, 0.5, {"loss": 2.0}, 1e-4))
        progress(Step(2, 1.0, {"loss": 1.0}, 0.0))
        torch.manual_seed(0)
        write(build(recipe.backbone), out)
        return out

    monkeypatch.setattr(cli.train, "train_network", train)
    return asked


def test_training_ends_with_weights_and_a_card_that_load(
    data: Path, recipe: Recipe, fake_loop: list[Recipe], tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        hilum,
        ["train", "resnet50", "--data", str(data), "--out", str(tmp_path / "runs"), "--steps", "2"],
    )

    assert result.exit_code == 0, result.output
    assert fake_loop == [dataclasses.replace(recipe, steps=2)]
    path = Path(result.stdout.strip())
    assert load_path(path, device="cpu").info.name == "maskrcnn-tiny"
    assert "1 slices and 0 controls to learn from, 2 and 0 held out" in result.stderr


def test_an_unknown_recipe_is_wrong_usage(data: Path) -> None:
    result = CliRunner().invoke(hilum, ["train", "vgg", "--data", str(data)])

    assert result.exit_code == 2
    assert "resnet50" in result.stderr
