from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from hilum.cards import Card
from hilum.evaluation.evaluate import Look, evaluate
from hilum.evaluation.figures import FIGURES, read, rows
from hilum.evaluation.model_card import model_card, write_model_card
from tests.hilum.evaluation.chests import control


@pytest.fixture
def card(seen: Callable[..., Look]) -> Card:
    """A card with the figures of two slices and a control."""
    looks = [seen("a", label=1), seen("b", label=2, halo=0.6)]
    metrics = asdict(evaluate(looks, [control("c")], 0.5))
    dice = {"value": 0.75, "low": 0.5, "high": 0.875}
    return Card(
        name="maskrcnn-tiny",
        version="2.0.0",
        backbone="resnet50",
        sha256="0" * 64,
        operating_point=0.5,
        recipe={
            "name": "tiny",
            "stages": [
                {"name": "first", "went_on_from": "the backbone", "steps_made": 800},
                {"name": "tiny", "went_on_from": "first.safetensors", "steps_made": 400},
            ],
        },
        data={"sources": {"A ward": "consent form 7"}, "learnt": ["a", "b"]},
        metrics=metrics
        | {
            "folds": [{"fold": 3, "slices": 9, "dice": dice}],
            "dice_lost_to_int8": 0.00012,
            "judged_on": "Out of fold.",
        },
        limits=("Knows no tumours.",),
    )


def test_every_figure_of_the_card_stands_on_its_page(card: Card) -> None:
    text = model_card(card)

    missing = [path for path in FIGURES if read(card.metrics, path) is None]
    assert missing == ["dice_cross_fitted"]
    for title, value, span in rows(card.metrics):
        assert f"| {title} | {value} | {span} |" in text


def test_a_page_tells_where_a_network_comes_from_and_what_it_is_not_for(card: Card) -> None:
    text = model_card(card)

    assert text.startswith("# `maskrcnn-tiny` 2.0.0\n")
    assert "On 2 labelled slices and 1 controls, cut at 0.50. Out of fold." in text
    assert "| 3 | 9 | 0.750 | 0.500 to 0.875 |" in text
    assert "| tiny | first.safetensors | - | 400 |" in text
    assert "| A ward | consent form 7 |" in text
    assert "int8 costs 0.0001 of mean Dice" in text
    assert "- Knows no tumours." in text
    assert "Research; not for diagnosis." in text


def test_a_card_without_figures_has_a_page_all_the_same() -> None:
    text = model_card(Card("maskrcnn-own", "1", "resnet50", "0" * 64))

    assert "## Limits" in text
    assert "## Fold by fold" not in text


def test_a_page_is_called_as_its_network(card: Card, tmp_path: Path) -> None:
    path = write_model_card(card, tmp_path / "networks")

    assert path.name == "maskrcnn-tiny.md"
    assert path.read_text() == model_card(card)
