# SPDX-License-Identifier: Apache-2.0
"""A network's card as a page of the documentation."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.cards import Card
from hilum.evaluation.figures import read, rows

SETTINGS = ("backbone", "steps_made", "learning_rate", "batch", "seed", "machine")
"""What a table tells of each stage of training; the card has the rest."""


def write_model_card(card: Card, folder: Path) -> Path:
    """Write `<name>.md` into a folder of pages and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.md"
    path.write_text(model_card(card), encoding="utf-8")
    return path


def model_card(card: Card) -> str:
    """Describe a network in Markdown: what it is for, how good it is, where it comes from."""
    return "\n".join(
        [
            f"# `{card.name}` {card.version}",
            "",
            f"{card.intended_use} Written by `hilum release` from the card beside the weights.",
            "",
            *_figures(card),
            *_folds(card.metrics.get("folds", ())),
            *_training(card),
            *_data(card),
            "## Limits",
            "",
            *[f"- {limit}" for limit in card.limits],
            "",
        ]
    )


def table(head: Sequence[str], body: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table and an empty one."""
    lines = [head, ["---"] * len(head), *body]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines] + [""]


def _figures(card: Card) -> list[str]:
    metrics = card.metrics
    counts = f"{metrics.get('slices', 0)} labelled slices and {metrics.get('controls', 0)} controls"
    lines = [
        "## How good it is",
        "",
        f"On {counts}, cut at {card.operating_point:.2f}. {metrics.get('judged_on', '')}".rstrip(),
        "",
        *table(("what", "value", "95 % interval"), rows(metrics)),
    ]
    if "dice_lost_to_int8" in metrics:
        lost = metrics["dice_lost_to_int8"]
        lines += [f"Storing the weights as int8 costs {lost:.4f} of mean Dice.", ""]
    return lines


def _folds(folds: Sequence[Mapping[str, Any]]) -> list[str]:
    if not folds:
        return []
    body = []
    for fold in folds:
        dice = read(fold, "dice")
        if dice is not None:
            span = f"{dice.low:.3f} to {dice.high:.3f}"
            body.append((fold["fold"], fold["slices"], f"{dice.value:.3f}", span))
    return ["## Fold by fold", "", *table(("fold", "slices", "Dice", "95 % interval"), body)]


def _training(card: Card) -> list[str]:
    stages = card.recipe.get("stages", [card.recipe])
    body = [
        [stage.get(name, "-") for name in ("name", "went_on_from", *SETTINGS)] for stage in stages
    ]
    return [
        "## How it was trained",
        "",
        *table(
            ("recipe", "went on from", *(name.replace("_", " ") for name in SETTINGS)),
            body,
        ),
    ]


def _data(card: Card) -> list[str]:
    low, high = card.preprocessing.window_hu
    counts = ", ".join(
        f"{len(card.data[key])} {words}"
        for key, words in (
            ("learnt", "slices with lesions learnt"),
            ("learnt_controls", "without lesions learnt"),
            ("held_out_controls", "without lesions held out"),
        )
        # A network that went on from a card without names cannot name them either.
        if key in card.data
    )
    pictures = f"{card.preprocessing.input_px} px on their longer side, {low:.0f} to {high:.0f} HU"
    return [
        "## What it learnt from",
        "",
        f"{counts}. Pictures: {pictures}.",
        "",
        *table(("source", "terms"), card.licences.items()),
        f"SHA-256 of the weights: `{card.sha256}`.",
        "",
    ]
