# SPDX-License-Identifier: Apache-2.0
"""`hilum compare`: networks side by side on the same slices."""

import json
from pathlib import Path

import click
from rich.table import Table

from cli.evaluate import weights_path
from cli.looking import DEVICE, FOLDER, looking, warn
from cli.terminal import err, narrate
from hilum.evaluation.coco import COCO
from hilum.evaluation.comparison import Comparison, compare_networks
from hilum.evaluation.comparison_plot import write_plot
from hilum.evaluation.comparison_table import head, lines, plain, summary, write_page
from hilum.evaluation.contenders import Field, contend, contend_out_of_fold
from hilum.evaluation.trained import read_trained
from hilum.networks.maskrcnn import choose_device
from hilum.research import need
from hilum.training.data import read_controls
from hilum.training.layouts import read_examples
from hilum.training.run import describe_machine


@click.command("compare", short_help="Compare networks on the same slices.")
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True)
@click.option("--data", type=FOLDER, required=True, help="Folder with images/ and masks/.")
@click.option("--controls", type=FOLDER, help="Folder of whole slices without lesions.")
@click.option(
    "--runs",
    type=FOLDER,
    help="Folder of fold runs: networks are recipes, judged by runs that did not learn the slice.",
)
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for comparison.md and comparison.png.",
)
@DEVICE
def compare(
    networks: tuple[str, ...],
    data: Path,
    controls: Path | None,
    runs: Path | None,
    docs: Path | None,
    device: str,
) -> None:
    """Compare each NETWORK with the first, on the same slices in the same run.

    A network is a name, or a weights file with its card or its run's record. F1, AP50, Dice,
    seconds, memory, parameters and operations stand side by side with 95 % intervals; whether the
    Dice of slices differs is tested in pairs (Wilcoxon). A table goes to standard error and JSON
    to standard output.

    Shipped weights have learnt every labelled slice of this repository's recipes, and figures on
    slices that a network has learnt mean nothing: --runs judges each slice by a run that held it
    out. Slices of the data without lesions count as controls, and controls that one network may
    have learnt are shown to none.
    """
    need(COCO)
    labelled = read_examples(data)
    clean = read_controls(controls) if controls else []
    with looking(len(networks) * (len(labelled) + len(clean))) as advance:
        field = Field(labelled, clean, device, advance)
        contenders = [
            contend_out_of_fold(runs, name, field)
            if runs
            else contend(read_trained(weights_path(name)), field)
            for name in networks
        ]
    machine = describe_machine(choose_device(device))
    comparison = compare_networks(contenders, machine=machine, out_of_fold=runs is not None)
    _show(comparison)
    if docs is not None:
        narrate(f"Wrote {write_plot(comparison, docs)} and {write_page(comparison, docs)}.")
    click.echo(json.dumps(plain(comparison), indent=2))


def _show(comparison: Comparison) -> None:
    table = Table(*head(comparison), box=None)
    for line in lines(comparison):
        table.add_row(*line)
    err.print(table)
    narrate(summary(comparison))
    for one in comparison.differences:
        narrate(one.sentence())
    for warning in comparison.warnings:
        warn(warning)
