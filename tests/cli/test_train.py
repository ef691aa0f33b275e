import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from rich.progress import Progress

import cli.train
from cli.main import hilum
from hilum.networks.maskrcnn import build
from hilum.training.course import Course
from hilum.training.engine import Step, write
from hilum.training.recipe import Recipe
from hilum.training.run import Run, write_run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six labelled slices of six volumes."""
    folder = tmp_path / "data"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for name in "abcdef":
        mask = np.zeros((40, 48), np.uint8)
        mask[10:20, 10:30] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{name}_0.png")
        Image.fromarray(mask * 100 + 50).save(folder / "images" / f"{name}_0.png")
    return folder


@pytest.fixture
def courses(monkeypatch: pytest.MonkeyPatch) -> list[Course]:
    """Collects what is to be run; the loop, whose own tests are elsewhere, learns nothing."""
    asked: list[Course] = []

    def train(course: Course, watch: Callable[[Step, float | None], None]) -> Path:
        asked.append(course)
        watch(Step(1, 0.5, {"loss": 2.0}, 1e-4), None)
        watch(Step(2, 1.0, {"loss": 1.0}, 0.0), 0.625)
        course.out.mkdir(exist_ok=True)
        path = course.file("safetensors")
        names = {key: tuple(value) for key, value in course.material.names().items()}
        write_run(
            Run(course.recipe, 1, 2, **names, start="x", sources=(), seconds_per_step=1.25,
                memory_peak_mb=321, machine="a desk"),
            path,
        )  # fmt: skip
        return path

    monkeypatch.setattr(cli.train, "run_course", train)
    return asked


def test_training_runs_what_was_asked_for_and_prints_the_weights(
    data: Path, courses: list[Course], tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        hilum,
        [
            "train", "resnet50", "--data", str(data), "--fold", "1", "--steps", "2",
            "--rate", "1e-5", "--minutes", "3", "--out", str(tmp_path / "runs"),
        ],
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    (course,) = courses
    assert (course.recipe.steps, course.recipe.learning_rate, course.minutes) == (2, 1e-5, 3)
    assert course.material.names()["held_out"] == ["b_0"]
    assert result.stdout.strip() == str(tmp_path / "runs" / "resnet50-fold-1.safetensors")
    assert "5 slices and 0 controls to learn from, 1 and 0 held out" in result.stderr
    assert "Step 2: mean Dice 0.625 on the slices held out" in result.stderr
    assert "2 steps of 1.25 s, at most 321 MB of memory, on a desk." in result.stderr


def test_a_checkpoint_is_gone_on_from_unless_forbidden(
    data: Path, courses: list[Course], tmp_path: Path
) -> None:
    kept = tmp_path / "resnet50.checkpoint"
    kept.touch()
    command = ["train", "resnet50", "--data", str(data), "--out", str(tmp_path)]

    resumed = CliRunner().invoke(hilum, command)
    survived = kept.exists()
    anew = CliRunner().invoke(hilum, [*command, "--no-resume"])

    assert survived
    assert f"Going on from {kept}; --no-resume begins anew." in resumed.stderr
    assert anew.exit_code == 0, anew.output
    assert not kept.exists()
    assert len(courses) == 2


def test_the_time_left_is_known_though_a_limit_moves_the_last_step() -> None:
    now = iter(range(1000))
    bars = Progress(get_time=lambda: float(next(now)))
    board = cli.train._Board(bars, Recipe("own", "resnet50", steps=2000))

    for number, fraction in enumerate((0.010, 0.021, 0.029, 0.041), start=1):
        board.show(Step(number, fraction, {"loss": 1.0}, 1e-4), None)

    (task,) = bars.tasks
    assert task.completed == 0.041
    # About a hundredth a second.
    assert task.time_remaining == pytest.approx(96, abs=10)


def test_an_unknown_recipe_is_wrong_usage(data: Path) -> None:
    result = CliRunner().invoke(hilum, ["train", "vgg", "--data", str(data)])

    assert result.exit_code == 2
    assert "'vgg' is not one of resnet101, resnet101-pseudo, resnet50" in result.stderr


def test_a_folder_of_no_known_layout_names_the_three(tmp_path: Path) -> None:
    result = CliRunner().invoke(hilum, ["train", "resnet50", "--data", str(tmp_path)])

    assert result.exit_code == 2
    for part in ("no known layout", "(1) images/", "(2) NIfTI", "(3) DICOM"):
        assert part in result.stderr


def test_a_recipe_of_ones_own_trains_from_the_command_to_the_files(
    data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text('backbone = "resnet50"\nsteps = 2\nbatch = 1\nside_px = 64\n')
    torch.manual_seed(0)
    network = build("resnet50")
    for block in network.backbone.body.modules():
        if hasattr(block, "bn3"):
            block.bn3.weight.fill_(0.2)
    write(network, tmp_path / "start.safetensors")

    result = CliRunner().invoke(
        hilum,
        [
            "train", str(recipe), "--data", str(data), "--out", str(tmp_path / "runs"),
            "--weights", str(tmp_path / "start.safetensors"), "--device", "cpu",
        ],
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "runs" / "own.run.json").read_text())
    assert (run["steps_made"], run["fold"], run["recipe"]["side_px"]) == (2, None, 64)
    assert (tmp_path / "runs" / "own.png").exists()
