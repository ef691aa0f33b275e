from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from hilum.cards import Card, write_card
from hilum.errors import ConfigurationError
from hilum.evaluation.trained import (
    check_unseen,
    fold_weights,
    load_packed,
    read_trained,
    stages,
)
from hilum.networks.weights import digest, load_path, write_tensors
from tests.hilum.evaluation.runs import make_run


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that stands for weights where nobody loads them."""
    path = tmp_path / "weights"
    path.write_bytes(b"none")
    return path


def test_a_run_says_what_it_learnt_and_held_out(tmp_path: Path, weights: Path) -> None:
    path = make_run(tmp_path, weights, "tiny", fold=0, held_out=("a", "b"))

    trained = read_trained(path)

    assert trained.info.name == "tiny-fold-0"
    assert trained.info.sha256 == digest(path)
    assert trained.held_out == {"a", "b", "healthy"}
    assert trained.learnt_of(["a", "c", "known", "other"]) == ["c", "known"]


def test_a_card_says_so_for_released_weights(tmp_path: Path) -> None:
    path = tmp_path / "maskrcnn-mine.safetensors"
    data = {
        "sources": {},
        "learnt": ["x"],
        "learnt_controls": 40,
        "held_out": ["y"],
        "held_out_controls": ["z"],
    }
    write_card(Card("maskrcnn-mine", "1.0", "resnet50", "0" * 64, data=data), path)

    trained = read_trained(path)

    assert (trained.learnt, trained.held_out) == ({"x"}, {"y", "z"})
    assert trained.info.version == "1.0"


def test_stages_are_read_back_to_the_first(tmp_path: Path, weights: Path) -> None:
    make_run(tmp_path, weights, "first", held_out=())
    start = "first.safetensors, SHA-256 abc"
    last = make_run(tmp_path, weights, "second", held_out=(), start=start)

    assert [run.recipe.name for run in stages(last)] == ["first", "second"]


def test_what_an_earlier_stage_learnt_counts_as_learnt(tmp_path: Path, weights: Path) -> None:
    make_run(tmp_path, weights, "first", held_out=())
    start = "first.safetensors, SHA-256 abc"
    last = make_run(tmp_path, weights, "second", fold=0, held_out=("a",), start=start)

    assert read_trained(last).learnt_of(["a"]) == ["a"]
    with pytest.raises(ConfigurationError, match="holds out a, but first behind it has learnt"):
        check_unseen(last)


def test_folds_are_found_in_order_and_other_files_are_not(tmp_path: Path, weights: Path) -> None:
    for fold in (2, 0):
        make_run(tmp_path, weights, "tiny", fold=fold, held_out=("a",))
    make_run(tmp_path, weights, "tiny", held_out=())
    make_run(tmp_path, weights, "tiny-fold-more", held_out=())
    (tmp_path / "tiny-fold-1.safetensors").write_bytes(b"has not ended")

    names = [path.stem for path in fold_weights(tmp_path, "tiny")]

    assert names == ["tiny-fold-0", "tiny-fold-2"]


def test_a_folder_without_fold_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no tiny-fold-\*.safetensors"):
        fold_weights(tmp_path, "tiny")


def test_packed_weights_see_what_the_released_file_sees(runs: Path, tmp_path: Path) -> None:
    weights = runs / "tiny.safetensors"
    released = tmp_path / "maskrcnn-tiny.safetensors"
    sha256 = write_tensors(load_file(weights), released)
    write_card(Card("maskrcnn-tiny", "1.0", "resnet50", sha256), released)
    image = np.random.default_rng(0).random((1, 64, 64), np.float32)

    packed, shipped = load_packed(weights, device="cpu"), load_path(released, device="cpu")

    np.testing.assert_array_equal(packed.predict(image)[0].dense, shipped.predict(image)[0].dense)
