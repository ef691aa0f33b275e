# SPDX-License-Identifier: Apache-2.0
"""`hilum migrate`: bring the database schema up to date."""

import click

from cli.database import engine_at
from cli.home import find_settings
from cli.terminal import narrate
from db.schema import head
from db.schema import migrate as bring_up_to_date


@click.command(short_help="Bring the database schema up to date.")
def migrate() -> None:
    """Bring the database schema up to date; where it is, nothing happens."""
    with engine_at(find_settings().database_url) as engine:
        bring_up_to_date(engine)
    narrate(f"The schema is at revision {head()}.")
