# SPDX-License-Identifier: Apache-2.0
"""`hilum evaluate`: how well a network does on slices with known lesions."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.terminal import err, narrate
from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import Evaluation, Look, look
from hilum.evaluation.evaluate import evaluate as sum_up
from hilum.evaluation.pictures import write_pictures
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import NETWORKS, Card, find, load_path, read_card
from hilum.training.data import Example, read_controls, read_labelled

ROWS: Mapping[str, str] = {
    "dice": "Dice, mean of slices",
    "dice_median": "Dice, median of slices",
    "dice_ground_glass": "Dice, ground-glass opacity",
    "dice_consolidation": "Dice, consolidation",
    "f1": "F1, pooled pixels",
    "precision": "precision, pooled pixels",
    "recall": "recall, pooled pixels",
    "control_share": "lesion share of lung, controls",
    "controls_clean": "controls under 0.5 % of lung",
}
"""Figures of an evaluation, by field, and what they are called."""


@click.command("evaluate", short_help="Measure a network on slices it has not seen.")
@click.option(
    "--weights",
    default="resnet50",
    show_default=True,
    help=f"One of {', '.join(NETWORKS)}, or a .safetensors file with its .json card.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with images/*.png and masks/*.png, lung crops.",
)
@click.option(
    "--controls",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of whole slices without lesions, *.png.",
)
@click.option("--held-out", is_flag=True, help="Only slices that the card says were held out.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="If not the card's.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for one PNG a slice, the worst first.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
def evaluate(
    weights: str,
    data: Path,
    controls: Path | None,
    threshold: float | None,
    pictures: Path | None,
    device: str,
    *,
    held_out: bool,
) -> None:
    """Measure a network on slices with known lesions and print the figures as JSON.

    A table of the same figures, each with its 95 % bootstrap interval over slices, goes to
    standard error. In masks, 1 is ground-glass opacity and 2 consolidation.
    """
    path = find(weights) if weights in NETWORKS else Path(weights)
    card = read_card(path)
    lesions = read_labelled(data)
    clean = read_controls(controls) if controls else []
    if held_out:
        lesions, clean = _held_out(lesions, clean, card)
    segmenter = load_path(path, device=device)
    looks, control_looks = _look(segmenter, lesions, clean)
    cut = card.operating_point if threshold is None else threshold
    evaluation = sum_up(looks, control_looks, cut)
    if pictures is not None:
        written = write_pictures([*looks, *control_looks], pictures, threshold=cut)
        narrate(f"Wrote {len(written)} pictures to {pictures}.")
    show_evaluation(evaluation)
    click.echo(json.dumps({"weights": asdict(card.info)} | asdict(evaluation), indent=2))


def show_evaluation(evaluation: Evaluation) -> None:
    """Show figures and intervals on standard error."""
    values: dict[str, Any] = asdict(evaluation)
    table = Table("figure", "value", "95 % interval", box=None)
    for field, name in ROWS.items():
        if values[field] is not None:
            low, high = values[field]["low"], values[field]["high"]
            table.add_row(name, f"{values[field]['value']:.3f}", f"{low:.3f} - {high:.3f}")
    err.print(table)
    narrate(
        f"{evaluation.slices} slices, {evaluation.controls} controls, cut at "
        f"{evaluation.threshold:.2f}, {evaluation.seconds_per_slice:.2f} s a slice."
    )


def _held_out(
    lesions: list[Example], controls: list[Example], card: Card
) -> tuple[list[Example], list[Example]]:
    kept = {*card.data.get("held_out", ()), *card.data.get("held_out_controls", ())}
    judged = [example for example in lesions if example.name in kept]
    if not judged:
        raise ConfigurationError(
            f"{card.name}: none of {len(lesions)} slices is among those its card held out."
        )
    return judged, [example for example in controls if example.name in kept]


def _look(
    segmenter: Segmenter, lesions: list[Example], controls: list[Example]
) -> tuple[list[Look], list[Look]]:
    with Progress(
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as bars:
        task = bars.add_task("slices", total=len(lesions) + len(controls))

        def advance(_: Example) -> None:
            bars.advance(task)

        return look(segmenter, lesions, advance), look(segmenter, controls, advance)
