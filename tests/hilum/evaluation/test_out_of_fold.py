from pathlib import Path

import pytest

from hilum.errors import ConfigurationError
from hilum.evaluation.out_of_fold import all_looks, look_out_of_fold
from hilum.networks.maskrcnn import Segmenter
from hilum.training.run import load_trained
from tests.hilum.evaluation.runs import lesion_slice


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


def test_slices_that_no_run_held_out_are_not_judged_at_all(runs: Path) -> None:
    with pytest.raises(ConfigurationError, match="held out none of 1 slices"):
        look_out_of_fold(runs, "tiny", [lesion_slice("elsewhere")])
