from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigurationError
from hilum.evaluation.out_of_fold import all_controls, all_looks, check_alike, look_out_of_fold
from hilum.networks.maskrcnn import Segmenter
from hilum.training.recipe import Recipe
from hilum.training.run import load_trained, read_run, write_run
from tests.hilum.evaluation.runs import lesion_slice, make_run


def test_each_slice_is_shown_to_the_run_that_held_it_out(runs: Path) -> None:
    loaded: list[str] = []
    told: list[str] = []

    def load(weights: Path) -> Segmenter:
        loaded.append(weights.stem)
        return load_trained(weights, device="cpu")

    folds = look_out_of_fold(
        runs,
        "tiny",
        [lesion_slice(name) for name in ("c", "a", "never", "b")],
        load=load,
        progress=lambda one: told.append(one.name),
    )

    assert loaded == ["tiny-fold-0", "tiny-fold-1"]
    assert told == ["a", "b", "c"]
    assert [(fold.fold, len(fold.looks)) for fold in folds] == [(0, 2), (1, 1)]
    assert [seen.example.name for seen in all_looks(folds)] == ["a", "b", "c"]
    assert 0 <= folds[0].dice(0.5).value <= 1


def test_slices_without_lesions_go_to_a_run_that_does_not_know_their_volume(runs: Path) -> None:
    clean = [lesion_slice(name, ill=False) for name in ("a_1", "c_1", "known")]

    folds = look_out_of_fold(runs, "tiny", [*map(lesion_slice, "abc"), *clean])

    controls = [[seen.example.name for seen in fold.controls] for fold in folds]
    assert controls == [["a_1"], ["c_1"]]
    assert [seen.example.name for seen in all_controls(folds)] == ["a_1", "c_1"]
    assert [seen.example.name for seen in all_looks(folds)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("different", "sentence"),
    [
        ({"steps_made": 5}, "steps_made 5, expected 7 as tiny-fold-0.safetensors"),
        ({"start": "mine.safetensors, SHA-256 0"}, "went_on_from mine.safetensors"),
        ({"recipe": Recipe("tiny", "resnet50", seed=1)}, "seed 1, expected"),
    ],
)
@pytest.mark.parametrize("stem", ["tiny-fold-1", "tiny"])
def test_runs_that_are_not_made_alike_cannot_stand_for_one_another(
    tmp_path: Path, stem: str, different: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "weights").write_bytes(b"none")
    for fold, held_out in ((0, ("a", "b")), (1, ("c",)), (None, ())):
        make_run(tmp_path, tmp_path / "weights", "tiny", fold=fold, held_out=held_out)
    odd = tmp_path / f"{stem}.safetensors"
    write_run(replace(read_run(odd), **different), odd)

    with pytest.raises(ConfigurationError, match=f"{stem}.safetensors: {sentence}"):
        look_out_of_fold(tmp_path, "tiny", [lesion_slice("a")])


def test_a_run_may_call_its_recipe_otherwise(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"none")
    files = [
        make_run(tmp_path, tmp_path / "weights", name, held_out=()) for name in ("tiny", "other")
    ]

    check_alike(files)


def test_slices_that_no_run_held_out_are_not_judged_at_all(runs: Path) -> None:
    with pytest.raises(ConfigurationError, match="held out none of 1 slices"):
        look_out_of_fold(runs, "tiny", [lesion_slice("elsewhere")])
