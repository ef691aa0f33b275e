import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import hilum
from tests.hilum.evaluation.runs import make_runs, write_slices


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as two recipes, `one` and `two`, and labelled slices in `data`."""
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder, "one", "two")
    write_slices(folder / "data")
    return folder


def compare(folder: Path, *arguments: str) -> Result:
    data = str(folder / "data")
    return CliRunner().invoke(hilum, ["compare", *arguments, "--data", data, "--device", "cpu"])


def test_recipes_are_compared_out_of_fold(folder: Path, tmp_path: Path) -> None:
    result = compare(folder, "one", "two", "--runs", str(folder), "--docs", str(tmp_path))

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert [row["name"] for row in figures["rows"]] == ["one", "two"]
    assert (figures["out_of_fold"], figures["warnings"]) == (True, [])
    assert figures["slices"] == ["a", "b", "c"]
    # The same weights twice: nothing differs.
    assert figures["differences"][0]["p_value"] == 1
    assert "two less one: Dice +0.000 a slice" in result.stderr
    assert "peak memory, MiB" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.md", "comparison.png"}


def test_a_network_that_has_learnt_the_slices_is_called_out(folder: Path) -> None:
    result = compare(folder, str(folder / "one.safetensors"))

    assert result.exit_code == 0, result.output
    assert "has learnt 3 of these 3 slices" in json.loads(result.stdout)["warnings"][0]
    assert "WARNING: one has learnt 3 of these 3 slices" in result.stderr


def test_a_recipe_without_fold_runs_is_refused(folder: Path) -> None:
    result = compare(folder, "absent", "--runs", str(folder))

    assert result.exit_code == 2
    assert "no absent-fold-*.safetensors" in result.stderr
