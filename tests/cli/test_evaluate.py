import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import hilum
from hilum.networks.weights import FOLDER, read_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labelled slices: a dark lung with a gray lesion each."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("035", "mine"):
        mask = np.zeros((96, 128), np.uint8)
        mask[30:60, 20:50] = 1
        image = np.where(mask > 0, 120, 50).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def test_figures_go_to_standard_output_and_pictures_to_their_folder(
    folder: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        hilum,
        [
            *("evaluate", "--data", str(folder), "--device", "cpu", "--threshold", "0.5"),
            *("--pictures", str(tmp_path / "out")),
        ],
    )

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["slices"] == 2
    assert figures["threshold"] == 0.5
    assert figures["weights"]["sha256"] == read_card(FOLDER / "maskrcnn-resnet50.x").sha256
    assert 0 <= figures["dice"]["low"] <= figures["dice"]["value"] <= figures["dice"]["high"] <= 1
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert "Dice, mean of slices" in result.stderr


def test_only_slices_held_out_are_judged_when_asked(folder: Path) -> None:
    result = CliRunner().invoke(
        hilum, ["evaluate", "--data", str(folder), "--device", "cpu", "--held-out"]
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["slices"] == 1


def test_slices_that_were_never_held_out_cannot_be_asked_for_as_such(folder: Path) -> None:
    for part in ("images", "masks"):
        (folder / part / "035.png").unlink()

    result = CliRunner().invoke(hilum, ["evaluate", "--data", str(folder), "--held-out"])

    assert result.exit_code == 2
    assert "none of 1 slices" in result.stderr


def test_an_untrained_network_is_refused_with_its_code(folder: Path) -> None:
    result = CliRunner().invoke(
        hilum, ["evaluate", "--data", str(folder), "--weights", "resnet101"]
    )

    assert result.exit_code == 1
    assert "[network_not_trained]" in result.stderr
