# SPDX-License-Identifier: Apache-2.0
"""`hilum weights`: which networks there are, whether they are sound, and adding one's own."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from cli.site import site_option
from cli.terminal import narrate, out
from hilum.errors import BrokenWeights, UnknownNetwork
from hilum.registry import Broken, Entry, Registry, is_version_of


@click.group(short_help="List, verify and import networks.")
def weights() -> None:
    """List, verify and import networks."""


@weights.command(name="list")
@site_option
@click.option("--json", "as_json", is_flag=True, help="Print the networks as JSON.")
def list_(site: Path | None, *, as_json: bool) -> None:
    """List the networks that jobs may name: `name` for the newest version, or `name@version`."""
    sound, broken = Registry(site).survey()
    if as_json:
        click.echo(json.dumps([_row(one) for one in sound], indent=2))
    else:
        out.print(_table(sound))
    for one in broken:
        narrate(f"Not usable: {one.error.message}")


@weights.command()
@click.argument("names", nargs=-1)
@site_option
def verify(names: tuple[str, ...], site: Path | None) -> None:
    """Verify networks, or all: hash, card, preprocessing, tensors; exit with 1 where one fails."""
    sound, broken = _chosen(Registry(site), names)
    outcomes = [*(_tell(one) for one in broken), *(_examine(one) for one in sound)]
    if not all(outcomes):
        sys.exit(1)


@weights.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="What jobs will call it; the card's own name if not given.")
@site_option
def import_(file: Path, name: str | None, site: Path | None) -> None:
    """Verify FILE, a .safetensors with its .json card beside it, and keep it for jobs to name."""
    from hilum.networks.site import import_network  # noqa: PLC0415 - it imports torch

    entry = import_network(file, Registry(site), name=name)
    narrate(f"Kept as {entry.path}. Jobs may name it from now on:")
    click.echo(entry.id)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.card.version,
        "backbone": entry.card.backbone,
        "sha256": entry.card.sha256,
        "operating_point": entry.card.operating_point,
        "dice": entry.card.dice,
        "licences": dict(entry.card.licences),
        "path": str(entry.path),
        "is_shipped": entry.is_shipped,
    }


def _table(entries: Sequence[Entry]) -> Table:
    table = Table("network", "backbone", "SHA-256", "cut at", "Dice", "where", box=None)
    for one in entries:
        card = one.card
        dice = "" if card.dice is None else f"{card.dice:.3f}"
        where = "shipped" if one.is_shipped else str(one.path.parent)
        cells = (one.id, card.backbone, card.sha256[:12], f"{card.operating_point:.2f}", dice)
        table.add_row(*(escape(cell) for cell in (*cells, where)))
    return table


def _chosen(registry: Registry, names: Sequence[str]) -> tuple[list[Entry], list[Broken]]:
    sound, broken = registry.survey()
    if not names:
        return sound, broken
    for name in names:
        if not any(is_version_of(one.id, name) for one in sound) and not any(
            one.claims(name) for one in broken
        ):
            raise UnknownNetwork(f"There is no network {name!r}; `hilum weights list` has them.")
    return (
        [one for one in sound if any(is_version_of(one.id, name) for name in names)],
        [one for one in broken if any(one.claims(name) for name in names)],
    )


def _examine(entry: Entry) -> bool:
    from hilum.networks.weights import verify  # noqa: PLC0415 - it imports torch

    try:
        card = verify(entry.path)
    except BrokenWeights as error:
        return _tell(Broken(entry.path, entry.is_shipped, error))
    click.echo(f"ok      {entry.id}  {card.sha256}")
    return True


def _tell(one: Broken) -> bool:
    click.echo(f"broken  {one.path}")
    remedy = (
        "Install Hilum again."
        if one.is_shipped
        else "Remove both files, mend or train the network, and import it again."
    )
    narrate(f"{one.error.message} {remedy}")
    return False
