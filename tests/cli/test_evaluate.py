import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import hilum
from hilum.networks.weights import digest
from tests.hilum.evaluation.runs import make_runs, write_controls, write_slices


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a run that held out two of three slices and one of two controls."""
    return make_runs(tmp_path_factory.mktemp("runs"), "tiny") / "tiny-fold-0.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slices, and their controls in a folder beside."""
    folder = tmp_path_factory.mktemp("data")
    write_slices(folder / "labelled")
    write_controls(folder / "controls")
    return folder


def evaluate(weights: Path, *options: str) -> Result:
    return CliRunner().invoke(
        hilum, ["evaluate", "--weights", str(weights), "--device", "cpu", *options]
    )


def test_figures_go_to_standard_output_and_pictures_to_their_folder(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    result = evaluate(
        weights,
        *("--data", str(data / "labelled"), "--controls", str(data / "controls")),
        *("--threshold", "0.5", "--pictures", str(tmp_path / "out")),
    )

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["slices"], figures["controls"], figures["threshold"]) == (3, 2, 0.5)
    assert figures["weights"]["sha256"] == digest(weights)
    assert 0 <= figures["dice"]["low"] <= figures["dice"]["value"] <= figures["dice"]["high"] <= 1
    assert figures["lesions"]["ap50"]["value"] <= 1
    assert len(list((tmp_path / "out").glob("slice-*.png"))) == 3
    assert len(list((tmp_path / "out").glob("control-*.png"))) == 2
    assert "Dice, mean of slices" in result.stderr
    assert "WARNING: tiny-fold-0 has learnt 2 of the slices" in result.stderr


def test_only_slices_held_out_are_judged_when_asked_and_only_json_is_printed(
    weights: Path, data: Path
) -> None:
    result = evaluate(
        weights,
        *("--data", str(data / "labelled"), "--controls", str(data / "controls")),
        *("--held-out", "--json", "--reading", "boxes"),
    )

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["slices"], figures["controls"], figures["reading"]) == (2, 1, "boxes")
    assert result.stderr == ""


def test_slices_that_were_never_held_out_cannot_be_asked_for_as_such(
    weights: Path, tmp_path: Path
) -> None:
    write_slices(tmp_path / "other", ("c",))

    result = evaluate(weights, "--data", str(tmp_path / "other"), "--held-out")

    assert result.exit_code == 2
    assert "none of 1 slices" in result.stderr


def test_a_hospitals_own_network_is_measured_by_its_name(data: Path, site: Path) -> None:
    result = evaluate(
        Path("ward@1.0.0"), "--site", str(site), "--data", str(data / "labelled"), "--json"
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["weights"]["name"] == "maskrcnn-ward"


@pytest.mark.parametrize(
    "command", [["evaluate"], ["compare", "resnet50"], ["release", "tiny", "--version", "1"]]
)
def test_a_missing_package_is_told_before_any_network_looks(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    options = ["--out", str(tmp_path), "--runs", str(tmp_path)] if command[0] == "release" else []

    # A folder without slices would be the next thing to be told of.
    result = CliRunner().invoke(hilum, [*command, "--data", str(tmp_path), *options])

    assert result.exit_code == 2
    assert "faster_coco_eval: not installed" in result.stderr


def test_a_network_that_there_is_none_of_is_refused_with_its_code(data: Path) -> None:
    result = evaluate(Path("absent"), "--data", str(data / "labelled"))

    assert result.exit_code == 1
    assert "[unknown_network]" in result.stderr
