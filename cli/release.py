# SPDX-License-Identifier: Apache-2.0
"""`hilum release`: from a recipe's runs to weights with a card."""

import re
from pathlib import Path

import click

from cli.looking import DEVICE, FOLDER, looking, show_evaluation, warn
from cli.terminal import narrate
from hilum.cards import VERSION, WEIGHTS_SUFFIX
from hilum.evaluation.coco import COCO
from hilum.evaluation.model_card import write_model_card
from hilum.evaluation.release import Order
from hilum.evaluation.release import release as write_release
from hilum.evaluation.sources import NOT_STATED
from hilum.research import need
from hilum.training.data import read_controls
from hilum.training.layouts import read_examples


@click.command("release", short_help="Pack a trained network and write its card.")
@click.argument("recipe")
@click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Of `train`.")
@click.option("--data", type=FOLDER, required=True, help="The labelled slices of the fold runs.")
@click.option("--controls", type=FOLDER, help="Folder of whole slices without lesions.")
@click.option("--version", required=True, help="Of the weights, such as 2.0.0.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the weights and their card.",
)
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the card as a page, NAME.md.",
)
@click.option(
    "--source",
    "terms",
    type=(str, str),
    multiple=True,
    metavar="FOLDER TERMS",
    help="Under which terms a folder's slices may be used; may be given again.",
)
@DEVICE
def release(
    recipe: str,
    runs: Path,
    data: Path,
    controls: Path | None,
    version: str,
    out: Path,
    docs: Path | None,
    terms: tuple[tuple[str, str], ...],
    device: str,
) -> None:
    """Pack the weights of RECIPE to int8, measure them, and write them with their card.

    RUNS holds what `hilum train` wrote: RECIPE.safetensors, which learnt everything, and
    RECIPE-fold-K.safetensors. Each labelled slice is judged by the fold run that did not learn it,
    packed as the release is; controls that were held out are judged by the release itself. The
    operating point is chosen on the former. Slices of the data without lesions count as controls.
    Prints the path of the weights.
    """
    need(COCO)
    order = Order(
        recipe=recipe,
        runs=runs,
        version=_checked(version),
        labelled=read_examples(data),
        controls=read_controls(controls) if controls else [],
        terms=dict(terms),
        device=device,
    )
    with looking(2 * len(order.labelled) + len(order.controls)) as advance:
        card, evaluation = write_release(order, out, advance)
    show_evaluation(evaluation)
    for source, licence in card.licences.items():
        if licence == NOT_STATED:
            warn(f"The terms of {source} are not stated: say them with --source {source} TERMS.")
    if docs is not None:
        narrate(f"Wrote {write_model_card(card, docs)}.")
    click.echo(str(out / f"{card.name}{WEIGHTS_SUFFIX}"))


def _checked(version: str) -> str:
    # The card would be refused, but only after the networks have looked at every slice.
    if not re.match(VERSION, version):
        raise click.BadParameter(f"{version!r}: expected up to four numbers joined by dots.")
    return version
