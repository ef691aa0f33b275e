import json
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image

from cli.main import hilum
from hilum.networks.maskrcnn import build
from hilum.networks.weights import digest
from hilum.training.engine import write
from hilum.training.recipe import Recipe
from hilum.training.run import Run, write_run


def test_the_weights_of_a_run_label_a_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write(build("resnet50"), tmp_path / "own.safetensors")
    record = Run(Recipe("own", "resnet50"), None, 1, (), (), (), (), "x", (), 1.0, 1.0, "a desk")
    write_run(record, tmp_path / "own.safetensors")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((40, 48), 60, np.uint8)).save(tmp_path / "images" / "v_3.jpg")

    result = CliRunner().invoke(
        hilum,
        [
            "pseudo-label", "--weights", str(tmp_path / "own.safetensors"),
            "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--device", "cpu",
        ],
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out")
    assert "Labelled 1 slices." in result.stderr
    assert (tmp_path / "out" / "images" / "v_3.png").exists()
    assert (tmp_path / "out" / "masks" / "v_3.png").exists()
    record = json.loads((tmp_path / "out" / "pseudo.json").read_text())
    assert record["teachers"][0]["sha256"] == digest(tmp_path / "own.safetensors")
    assert record["second_opinions"] == 0


def test_weights_without_card_or_record_are_refused(tmp_path: Path) -> None:
    write(build("resnet50"), tmp_path / "lost.safetensors")

    result = CliRunner().invoke(
        hilum,
        [
            "pseudo-label", "--weights", str(tmp_path / "lost.safetensors"),
            "--data", str(tmp_path), "--out", str(tmp_path / "out"),
        ],
    )  # fmt: skip

    assert result.exit_code == 2
    assert "lost.run.json: no readable record of a finished run" in result.stderr
