"""A card is read as strictly as it is written, and one for other images is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hilum.cards import LARGEST_CARD, SERVED, Card, read_card, write_card
from hilum.errors import BrokenWeights

CARD = Card(
    "maskrcnn-ward",
    "1.2.0",
    "resnet50",
    "ab" * 32,
    operating_point=0.4,
    recipe={"steps": 7},
    data={"sources": {"Own slices": "not to be passed on"}, "learnt": ["a"]},
    metrics={"dice": {"value": 0.7, "low": 0.6, "high": 0.8}},
    limits=("Adults alone.",),
)

Change = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "maskrcnn-ward.safetensors"
    write_card(CARD, path)
    return path


@pytest.fixture
def changed(path: Path) -> Change:
    """Write the card with some fields changed, or gone where the value is None."""

    def change(**fields: Any) -> Path:
        beside = path.with_suffix(".json")
        values = json.loads(beside.read_text()) | fields
        kept = {name: value for name, value in values.items() if value is not None}
        beside.write_text(json.dumps(kept))
        return path

    return change


def test_a_card_is_read_as_it_was_written(path: Path) -> None:
    card = read_card(path)

    assert card == CARD
    assert (card.network, card.dice) == ("ward", 0.7)
    assert dict(card.licences) == {"Own slices": "not to be passed on"}
    assert card.info.window_hu == SERVED.window_hu


def test_the_file_is_named_in_the_json(path: Path) -> None:
    assert json.loads(path.with_suffix(".json").read_text())["file"] == path.name


@pytest.mark.parametrize(
    "name", ["file", "sha256", "preprocessing", "operating_point", "intended_use", "limits", "data"]
)
def test_a_missing_field_is_named(changed: Change, name: str) -> None:
    path = changed(**{name: None})

    with pytest.raises(BrokenWeights, match=rf"maskrcnn-ward\.json: lacks {name}\."):
        read_card(path)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"preprocessing": {"window_hu": [0, 1]}}, r"preprocessing\.input_px"),
        ({"operating_point": "0.4"}, "operating_point"),
        ({"operating_point": 40}, "operating_point"),
        ({"operating_point": 0.0}, "operating_point: Input should be greater than 0"),
        ({"operating_point": 1.0}, "operating_point: Input should be less than 1"),
        ({"sha256": "ABC"}, "sha256"),
        ({"version": "newest"}, "version"),
        ({"version": "01.0.0"}, "version"),
        ({"version": "1.00"}, "version"),
        ({"backbone": "vgg16"}, "backbone"),
        ({"name": "../ward"}, "name"),
        ({"limits": "none"}, "limits"),
        ({"data": {"learnt": []}}, r"data\.sources holds NoneType"),
        ({"data": {"sources": {"Own slices": None}}}, r"data\.sources holds NoneType"),
        ({"file": "other.safetensors"}, r"of another file, expected maskrcnn-ward\.safetensors"),
        ({"pipeline": "ct-hearts"}, "another pipeline, expected ct-lesions"),
        ({"labels": {"1": "consolidation", "2": "ground-glass opacity"}}, "labels.*expected"),
    ],
)
def test_a_field_that_is_unknown_or_wrong_is_named(
    changed: Change, fields: dict[str, Any], named: str
) -> None:
    path = changed(**fields)

    with pytest.raises(BrokenWeights, match=named):
        read_card(path)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SERVED, window_hu=(-1350.0, 150.0)), r"window_hu \(-1350.*expected \(-1250"),
        (replace(SERVED, input_px=512), "input_px 512, expected 384"),
        (replace(SERVED, mean=(0.0, 0.0, 0.0)), "mean"),
        (replace(SERVED, architecture=1), "architecture 1, expected 2"),
    ],
)
def test_a_network_for_other_images_or_of_another_architecture_is_refused(
    path: Path, other: Any, named: str
) -> None:
    write_card(replace(CARD, preprocessing=other), path)

    with pytest.raises(BrokenWeights, match=named):
        read_card(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"a": NaN}', "\xff"])
def test_what_is_no_card_is_told_by_its_name(path: Path, text: str) -> None:
    path.with_suffix(".json").write_text(text, encoding="latin-1")

    with pytest.raises(BrokenWeights, match=r"maskrcnn-ward\.json"):
        read_card(path)


def test_a_card_of_megabytes_is_not_read(path: Path) -> None:
    path.with_suffix(".json").write_text(" " * (LARGEST_CARD + 1))

    with pytest.raises(BrokenWeights, match="at most 1048576 bytes"):
        read_card(path)


NAME = "Erika Mustermann " * 30_000


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"sources": NAME}},
        {"data": {"sources": {NAME: [NAME]}}},
        {"file": NAME},
        {"file": [NAME]},
        {"pipeline": NAME},
        {"labels": {"1": NAME}},
        {"backbone": NAME},
        {"name": NAME},
        {"limits": [NAME, 7]},
    ],
)
def test_what_a_card_says_is_not_said_again(changed: Change, fields: dict[str, Any]) -> None:
    path = changed(**fields)

    with pytest.raises(BrokenWeights) as caught:
        read_card(path)

    assert "Mustermann" not in caught.value.message


def test_a_complaint_of_many_fields_is_cut_short(changed: Change) -> None:
    path = changed(**{f"field-{number}": number for number in range(1000)})

    with pytest.raises(BrokenWeights, match="field-0") as caught:
        read_card(path)

    assert len(caught.value.message) < 350


def test_a_card_that_cannot_be_opened_is_told_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BrokenWeights) as caught:
        read_card(tmp_path / "ward-1.0.safetensors")

    assert caught.value.message == "ward-1.0.json: no readable card (No such file or directory)."


def test_a_network_nobody_measured_has_no_dice() -> None:
    assert replace(CARD, metrics={}).dice is None


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400", "-0.1", "1.01", '"0.7"', "[0.7]"])
def test_a_dice_that_is_no_share_is_none(path: Path, number: str) -> None:
    beside = path.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"value": 0.7', f'"value": {number}'))

    assert read_card(path).dice is None


def test_reading_cards_loads_no_torch() -> None:
    program = "import hilum.registry, sys; print('torch' in sys.modules)"

    shown = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert shown.strip() == "False"
