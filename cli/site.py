# SPDX-License-Identifier: Apache-2.0
"""The option that names the folder of a hospital's own networks."""

from pathlib import Path
from typing import Final

import click

from cli.home import local_settings


def _local() -> str | None:
    return local_settings().get("weights")


site_option: Final = click.option(
    "--site",
    envvar="HILUM_WEIGHTS",
    default=_local,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of your own networks; else HILUM_WEIGHTS, else that of the `hilum serve` here.",
)
