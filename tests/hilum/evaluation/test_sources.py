from dataclasses import replace
from pathlib import Path

import pytest

from hilum.cards import Card
from hilum.evaluation.sources import BACKBONE, NOT_STATED, limits_of, sources
from hilum.training.run import Run, read_run
from tests.hilum.evaluation.runs import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run from a known folder and from one called `ward`."""
    weights = tmp_path / "weights"
    weights.write_bytes(b"none")
    return read_run(make_run(tmp_path, weights, "tiny", held_out=()))


def test_folders_of_our_recipes_have_their_terms_and_others_are_not_guessed(run: Run) -> None:
    found = sources([run], {})

    assert list(found.values()) == ["non-commercial use", NOT_STATED, "MIT"]
    assert list(found)[1:] == ["ward", BACKBONE]


def test_terms_that_are_named_stand_in_the_card(run: Run) -> None:
    found = sources([run], {"ward": "consent form 7", "Hospital archive": "contract"})

    assert found["ward"] == "consent form 7"
    assert found["Hospital archive"] == "contract"


def test_a_hospitals_own_release_has_none_of_our_facts(run: Run) -> None:
    card = Card("maskrcnn-mine", "1", "resnet50", "0" * 64, data={"sources": {"archive": "own"}})
    own = replace(run, sources=("/hospital/ward",), start="maskrcnn-mine.safetensors, SHA-256 0")

    found = sources([card, own], {"ward": "consent form 7"})

    assert found == {"archive": "own", "ward": "consent form 7"}
    assert limits_of(found) == ()


def test_limits_of_our_slices_follow_them(run: Run) -> None:
    found = sources([run], {"labelled": "by arrangement"})

    assert "by arrangement" in found.values()
    assert [limit[:20] for limit in limits_of(found)] == [
        "The labelled set has",
        "Learnt from 8-bit pi",
    ]
    # What is learnt through a card stays known.
    card = Card("maskrcnn-mine", "1", "resnet50", "0" * 64, data={"sources": found})
    later = sources([card, replace(run, sources=(), start="maskrcnn-mine")], {})
    assert limits_of(later) == limits_of(found)


def test_a_stage_before_adds_its_folders(run: Run) -> None:
    earlier = replace(run, sources=("data/ct-lesions/unlabelled",))

    assert "CC BY 4.0" in sources([earlier, run], {}).values()
