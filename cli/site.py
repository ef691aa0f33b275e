# SPDX-License-Identifier: Apache-2.0
"""The option that names the folder of a hospital's own networks."""

from pathlib import Path
from typing import Final

import click

site_option: Final = click.option(
    "--site",
    envvar="HILUM_WEIGHTS",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of your own networks; else HILUM_WEIGHTS.",
)
