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
    stage_name,
    stages,
)
from hilum.networks.weights import digest, find, load_path, write_tensors
from hilum.training.data import Example
from tests.hilum.evaluation.runs import lesion_slice, make_run


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that stands for weights where nobody loads them."""
    path = tmp_path / "weights"
    path.write_bytes(b"none")
    return path


def begin(folder: Path, stem: str = "first") -> tuple[Path, str]:
    """Make files of their own bytes for weights, and what a run says that goes on from them."""
    path = folder / f"{stem}-bytes"
    path.write_bytes(stem.encode())
    return path, f"{stem}.safetensors, SHA-256 {digest(path)}"


def write_released(folder: Path, data: dict[str, object]) -> tuple[Path, str]:
    """Write weights with a card of some data, and what a run says that goes on from them."""
    path = folder / "maskrcnn-mine.safetensors"
    path.write_bytes(b"mine")
    sources: dict[str, object] = {"sources": {}}
    write_card(Card("maskrcnn-mine", "1.0", "resnet50", digest(path), data=sources | data), path)
    return path, f"{path.name}, SHA-256 {digest(path)}"


def healthy(*names: str) -> list[Example]:
    return [lesion_slice(name, ill=False) for name in names]


def names(examples: list[Example]) -> list[str]:
    return [example.name for example in examples]


def test_a_run_says_what_it_learnt_and_held_out(tmp_path: Path, weights: Path) -> None:
    path = make_run(tmp_path, weights, "tiny", fold=0, held_out=("a", "b"))

    trained = read_trained(path)

    assert trained.info.name == "tiny-fold-0"
    assert trained.info.sha256 == digest(path)
    assert trained.learnt_of(["a", "c", "known", "other"]) == ["c", "known"]
    every = [*map(lesion_slice, "abc"), *healthy("healthy", "known", "other")]
    assert names(trained.held_out_of(every)) == ["a", "b", "healthy"]
    assert names(trained.unseen_of(every)) == ["a", "b", "healthy", "other"]


def test_a_card_says_so_for_released_weights(tmp_path: Path) -> None:
    data = {"learnt": ["x"], "learnt_controls": ["k"], "held_out": ["y"], "held_out_controls": []}
    path, _ = write_released(tmp_path, data)

    trained = read_trained(path)

    assert trained.info.version == "1.0"
    assert trained.learnt_of(["k", "w", "x", "y"]) == ["k", "x"]
    assert names(trained.held_out_of(map(lesion_slice, "xyz"))) == ["y"]
    assert names(trained.unseen_of([*map(lesion_slice, "xyz"), *healthy("k", "l")])) == [*"yzl"]


def test_of_controls_that_a_card_counts_only_those_held_out_are_unseen(tmp_path: Path) -> None:
    data = {"learnt": ["x"], "learnt_controls": 40, "held_out_controls": ["z"]}
    path, _ = write_released(tmp_path, data)

    trained = read_trained(path)

    assert names(trained.unseen_of(healthy("w", "z"))) == ["z"]
    assert names(trained.unseen_of([lesion_slice("w")])) == ["w"]


def test_who_learnt_a_slice_knows_its_volume(tmp_path: Path) -> None:
    path, _ = write_released(tmp_path, {"learnt": ["v_1"], "learnt_controls": []})

    trained = read_trained(path)

    assert names(trained.unseen_of([*healthy("v_2", "u_2"), lesion_slice("v_3")])) == ["u_2"]


def test_stages_are_read_back_to_the_first(tmp_path: Path, weights: Path) -> None:
    first, start = begin(tmp_path)
    make_run(tmp_path, first, "first", held_out=())
    last = make_run(tmp_path, weights, "second", held_out=(), start=start)

    assert [stage_name(stage) for stage in stages(last)] == ["first", "second"]


def test_what_an_earlier_stage_learnt_counts_as_learnt(tmp_path: Path, weights: Path) -> None:
    first, start = begin(tmp_path)
    make_run(tmp_path, first, "first", held_out=())
    last = make_run(tmp_path, weights, "second", fold=0, held_out=("a",), start=start)

    assert read_trained(last).learnt_of(["a"]) == ["a"]
    assert read_trained(last).held_out_of([lesion_slice("a")]) == []
    with pytest.raises(ConfigurationError, match="holds out a, but first behind it has learnt"):
        check_unseen(last)


def test_an_earlier_stage_is_known_by_its_hash_whatever_it_is_called(
    tmp_path: Path, weights: Path
) -> None:
    first, start = begin(tmp_path)
    make_run(tmp_path, first, "renamed", held_out=())
    decoy, _ = begin(tmp_path, "decoy")
    make_run(tmp_path, decoy, "first", held_out=("a", "b", "c"))
    last = make_run(tmp_path, weights, "second", fold=0, held_out=("a",), start=start)

    with pytest.raises(ConfigurationError, match="renamed behind it has learnt"):
        check_unseen(last)


def test_a_run_whose_start_is_nowhere_is_refused_and_says_where_it_was_looked_for(
    tmp_path: Path, weights: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first, start = begin(tmp_path)
    make_run(elsewhere, first, "first", held_out=())
    last = make_run(tmp_path, weights, "second", fold=0, held_out=("a",), start=start)
    (tmp_path / "first.safetensors").write_bytes(first.read_bytes())

    with pytest.raises(ConfigurationError, match=f"first.safetensors, SHA-256 .*{tmp_path} or "):
        check_unseen(last)


def test_a_run_that_went_on_from_a_card_has_learnt_what_the_card_names(
    tmp_path: Path, weights: Path
) -> None:
    _, start = write_released(tmp_path, {"learnt": ["a"], "learnt_controls": 40})
    leaking = make_run(tmp_path, weights, "tiny", fold=0, held_out=("a",), start=start)
    sound = make_run(tmp_path, weights, "tiny", fold=1, held_out=("b",), start=start)

    with pytest.raises(ConfigurationError, match="holds out a, but maskrcnn-mine behind it"):
        check_unseen(leaking)
    assert check_unseen(sound).fold == 1
    assert names(read_trained(sound).unseen_of(healthy("healthy"))) == []


def test_a_run_that_went_on_from_a_shipped_network_finds_its_card(
    tmp_path: Path, weights: Path
) -> None:
    shipped = find("resnet50")
    start = f"{shipped.name}, SHA-256 {digest(shipped)}"
    own = make_run(tmp_path, weights, "tiny", fold=0, held_out=("a",), start=start)

    assert [stage_name(stage) for stage in stages(own)] == ["maskrcnn-resnet50", "tiny"]


def test_folds_are_found_in_order_and_other_files_are_not(tmp_path: Path, weights: Path) -> None:
    for fold in (2, 0):
        make_run(tmp_path, weights, "tiny", fold=fold, held_out=("a",))
    make_run(tmp_path, weights, "tiny", held_out=())
    make_run(tmp_path, weights, "tiny-fold-more", held_out=())
    (tmp_path / "tiny-fold-1.safetensors").write_bytes(b"has not ended")

    found = [path.stem for path in fold_weights(tmp_path, "tiny")]

    assert found == ["tiny-fold-0", "tiny-fold-2"]


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
