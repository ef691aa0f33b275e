# SPDX-License-Identifier: Apache-2.0
"""`hilum evaluate`: how well a network does on slices with known lesions."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from cli.looking import DEVICE, FOLDER, looking, narrate_learnt, show_evaluation
from cli.site import site_option
from cli.terminal import narrate
from hilum.cards import WEIGHTS_SUFFIX
from hilum.errors import ConfigurationError
from hilum.evaluation.coco import COCO
from hilum.evaluation.evaluate import evaluate as sum_up
from hilum.evaluation.evaluate import look, part
from hilum.evaluation.instances import READING, Reading
from hilum.evaluation.pictures import write_pictures
from hilum.evaluation.trained import Trained, read_trained
from hilum.networks.weights import NETWORKS, find
from hilum.registry import SHIPPED_ALONE, Registry
from hilum.research import need
from hilum.training.data import Example, read_controls
from hilum.training.layouts import read_examples


@click.command("evaluate", short_help="Measure a network on slices it has not seen.")
@click.option(
    "--weights",
    default=NETWORKS[0],
    show_default=True,
    help=f"A network's name, or a {WEIGHTS_SUFFIX} file with its card or its run's record.",
)
@site_option
@click.option("--data", type=FOLDER, required=True, help="Folder with images/ and masks/.")
@click.option("--controls", type=FOLDER, help="Folder of whole slices without lesions.")
@click.option("--held-out", is_flag=True, help="Only slices that it is known to have not learnt.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="If not the card's.")
@click.option(
    "--reading",
    type=click.Choice(get_args(Reading)),
    default=READING,
    show_default=True,
    help="Where the lesions behind AP are taken from.",
)
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for PNGs of the worst, median and best slices and the worst controls.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON alone, without the table.")
@DEVICE
def evaluate(
    weights: str,
    site: Path | None,
    data: Path,
    controls: Path | None,
    threshold: float | None,
    reading: Reading,
    pictures: Path | None,
    device: str,
    *,
    held_out: bool,
    as_json: bool,
) -> None:
    """Measure a network on slices with known lesions and print the figures as JSON.

    A table of the same figures, each with its 95 % bootstrap interval over volumes, goes to
    standard error. In masks, 1 is ground-glass opacity and 2 consolidation; masks of 0 and 255
    have no classes, and then there are no figures of classes. Slices without lesions are controls:
    what is found in their lungs is false.
    """
    need(COCO)
    trained = read_trained(weights_path(weights, Registry(site)))
    slices = [*read_examples(data), *(read_controls(controls) if controls else [])]
    lesions, clean = part(_held_out(slices, trained) if held_out else slices)
    narrate_learnt(trained.info.name, trained.learnt_of([one.name for one in (*lesions, *clean)]))
    cut = trained.info.operating_point if threshold is None else threshold
    segmenter = trained.load(device=device)
    with looking(len(lesions) + len(clean)) as advance:
        looks, control_looks = look(segmenter, lesions, advance), look(segmenter, clean, advance)
    evaluation = sum_up(looks, control_looks, cut, reading=reading)
    if pictures is not None:
        written = write_pictures(looks, control_looks, pictures, threshold=cut)
        narrate(f"Wrote {len(written)} pictures to {pictures}.")
    if not as_json:
        show_evaluation(evaluation)
    click.echo(json.dumps({"weights": asdict(trained.info)} | asdict(evaluation), indent=2))


def weights_path(weights: str, registry: Registry = SHIPPED_ALONE) -> Path:
    """Return the file of a network that is named, or the path that is given."""
    is_path = weights.endswith(WEIGHTS_SUFFIX)
    return Path(weights) if is_path else find(weights, registry=registry)


def _held_out(slices: Sequence[Example], trained: Trained) -> list[Example]:
    judged = trained.held_out_of(slices)
    if not judged:
        raise ConfigurationError(
            f"{trained.info.name}: none of {len(slices)} slices is among those it was kept from."
        )
    return judged
