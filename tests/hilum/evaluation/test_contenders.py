from pathlib import Path

import pytest

from hilum.evaluation.contenders import Field, contend, contend_out_of_fold
from hilum.evaluation.trained import read_trained
from tests.hilum.evaluation.runs import NAMES, lesion_slice

CLEAN = "b_7"
"""A labelled slice without lesions, of the volume `b`, which the first fold run held out."""


@pytest.fixture
def field() -> Field:
    """The slices of the runs, and a control on each side."""
    controls = [lesion_slice(name, ill=False) for name in ("healthy", "known")]
    labelled = [*map(lesion_slice, NAMES), lesion_slice(CLEAN, ill=False)]
    return Field(labelled, controls, device="cpu")


def test_a_network_is_shown_every_labelled_slice_and_owns_up_to_what_it_learnt(
    runs: Path, field: Field
) -> None:
    contender = contend(read_trained(runs / "tiny-fold-0.safetensors"), field)

    assert [seen.example.name for seen in contender.looks] == ["a", "b", "c"]
    assert [seen.example.name for seen in contender.controls] == ["healthy", CLEAN]
    assert contender.learnt == ["c"]
    assert contender.threshold == 0.4
    assert contender.cost.parameters > 10_000_000


def test_fold_runs_are_shown_only_what_they_held_out(runs: Path, field: Field) -> None:
    contender = contend_out_of_fold(runs, "tiny", field)

    assert [seen.example.name for seen in contender.looks] == ["a", "b", "c"]
    assert [seen.example.name for seen in contender.controls] == ["healthy", CLEAN]
    assert contender.learnt == ()
    assert len(contender.sha256) == 2
