# SPDX-License-Identifier: Apache-2.0
"""`hilum pseudo-label`: masks by trained networks for slices that nobody has drawn on."""

from pathlib import Path

import click

from cli.looking import DEVICE, FOLDER, looking
from cli.terminal import narrate
from hilum.training.data import picture_paths
from hilum.training.pseudo import write_pseudo_labels
from hilum.training.run import load_trained


@click.command("pseudo-label", short_help="Let trained networks label slices to learn from.")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Weights of a run or of a release; several are averaged.",
)
@click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder with images/, named <volume>_<slice>, and pseudo_masks/ of another network if any.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write images/ and masks/ to; neither may hold anything yet.",
)
@DEVICE
def pseudo_label(weights: tuple[Path, ...], data: Path, out: Path, device: str) -> None:
    """Label the slices of DATA by trained networks, and write OUT for `hilum train`.

    Each slice is seen plain and mirrored. Volumes whose window is much wider than the networks'
    are stretched first, so that soft tissue lies where the networks expect it. A mask in
    pseudo_masks/ counts for two fifths beside the networks. OUT/pseudo.json names the networks.
    """
    segmenters = [load_trained(path, device=device) for path in weights]
    with looking(len(picture_paths(data / "images"))) as advance:
        count = write_pseudo_labels(data, out, segmenters, advance)
    narrate(f"Labelled {count} slices.")
    click.echo(str(out))
