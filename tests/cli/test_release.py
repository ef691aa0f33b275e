from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import hilum
from hilum.cards import read_card
from hilum.evaluation import release as module
from tests.hilum.evaluation.runs import make_runs, write_controls, write_slices


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the recipe `tiny`, labelled slices in `data` and others in `controls`."""
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder, "tiny")
    write_slices(folder / "data")
    write_controls(folder / "controls")
    return folder


def release(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(
        hilum,
        [
            *("release", "tiny", "--runs", str(folder), "--data", str(folder / "data")),
            *("--out", str(folder / "out"), "--device", "cpu", *options),
        ],
    )


def test_a_release_writes_weights_card_and_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an untrained network finds hangs on the last bit of its weights.
    monkeypatch.setattr(module, "DICE_LOST_MAX", 1.0)

    result = release(
        folder,
        *("--version", "2.0.0", "--docs", str(folder / "docs")),
        *("--controls", str(folder / "controls"), "--source", "a sister ward", "consent form 7"),
    )

    assert result.exit_code == 0, result.output
    path = folder / "out" / "maskrcnn-tiny.safetensors"
    assert result.stdout == f"{path}\n"
    card = read_card(path)
    assert (card.version, card.metrics["slices"], card.metrics["controls"]) == ("2.0.0", 3, 1)
    assert card.licences["a sister ward"] == "consent form 7"
    assert "WARNING: The terms of ward are not stated" in result.stderr
    assert "# `maskrcnn-tiny` 2.0.0" in (folder / "docs" / "maskrcnn-tiny.md").read_text()


def test_a_version_that_no_card_may_have_is_refused_before_any_work(folder: Path) -> None:
    result = release(folder, "--version", "new")

    assert result.exit_code == 2
    assert "'new': expected up to four numbers" in result.stderr
