# SPDX-License-Identifier: Apache-2.0
"""`hilum phantom`: a chest CT that belongs to nobody, as DICOM, to try things with."""

from pathlib import Path

import click

from cli.terminal import narrate, out
from hilum.phantom import make_phantom


@click.command(short_help="Write a synthetic chest CT with known lesions as DICOM.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=0, show_default=True, help="Another number is another chest.")
@click.option(
    "--slices", default=44, show_default=True, type=click.IntRange(8), help="Fewer are thicker."
)
def phantom(folder: Path, seed: int, slices: int) -> None:
    """Write a synthetic chest CT into FOLDER, and print what was planted in it."""
    chest = make_phantom(seed, slices=slices)
    paths = chest.write_dicom(folder)
    out.print(
        f"{chest.lesion_share:.1%} of the lungs ({chest.lesion_ml:.1f} of {chest.lung_ml:.0f} ml)"
    )
    narrate(f"Wrote {len(paths)} slices to {folder}.")
