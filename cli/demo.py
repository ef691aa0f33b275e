# SPDX-License-Identifier: Apache-2.0
"""`hilum demo`: the whole system, and one study on its way through it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from cli.client import Client, Order
from cli.findings import show_report
from cli.follow import send_and_follow
from cli.home import Home
from cli.processes import ended_by_signals
from cli.serve import home_option, host_option, port_option
from cli.system import System, running_system
from cli.terminal import err, narrate, notes, out
from hilum.phantom import Phantom, make_phantom

MONTAGE: Final = Path("demo-montage.png")


@click.command(short_help="Start everything, send a study and show its report.")
@click.argument("study", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--network", help="As `hilum weights list` has it.")
@home_option
@host_option
@port_option
def demo(study: Path | None, network: str | None, home: Path, host: str, port: int) -> None:
    """Start everything, send STUDY (a folder or a zip of DICOM files) and show its report.

    Without STUDY a synthetic chest is made and sent. On a terminal the system keeps running until
    Ctrl-C; elsewhere the command ends.
    """
    place, done = Home.open(home), False
    with ended_by_signals(), running_system(place, host=host, port=port, say=narrate) as system:
        narrate(f"Hilum serves at {system.url}")
        planted = None
        if study is None:
            study, planted = _make_study(place)
        _send(system, study, network, planted)
        done = True
        if sys.stdin.isatty() and sys.stdout.isatty():
            narrate("Ctrl-C stops everything.")
            system.family.watch_for_ever()
    if not done:
        raise click.Abort


def _make_study(home: Home) -> tuple[Path, Phantom]:
    """Write a phantom that was not sent before: a study seen again would only be looked up."""
    folder = home.folder / "phantoms"
    seed = len(list(folder.glob("*"))) if folder.exists() else 0
    with err.status(f"Making chest {seed} …"):
        phantom = make_phantom(seed)
        phantom.write_dicom(folder / f"{seed:04}")
    narrate(
        f"Made chest {seed}: {len(phantom.planted)} lesions of {phantom.lesion_ml:.0f} ml are"
        f" planted, {phantom.lesion_share:.1%} of the lungs."
    )
    return folder / f"{seed:04}", phantom


def _send(system: System, study: Path, network: str | None, planted: Phantom | None) -> None:
    client = Client(system.url, system.key)
    try:
        order = Order(network=network)
        job = send_and_follow(client, study, order, meanwhile=system.family.watch)
        report = client.get(job["links"]["report"])
        client.download(report["links"]["montage"], MONTAGE)
    finally:
        client.close()
    show_report(report)
    if planted is not None:
        out.print(_compare(report, planted))
    _point_to(system, job, report)


def _compare(report: Mapping[str, Any], planted: Phantom) -> Text:
    found = report["total"]
    return Text(
        f"Planted {planted.lesion_ml:.0f} ml of lesion in {planted.lung_ml:.0f} ml of lung;"
        f" found {found['lesion_ml']:.0f} ml in {found['lung_ml']:.0f} ml."
    )


def _point_to(system: System, job: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    notes(
        {
            "open": system.entrance(to=job["links"]["page"]),
            "report": system.url + report["links"]["self"],
            "HTTP API": f"{system.url}/docs",
            "API key": str(system.home.folder / "key"),
            "montage": str(MONTAGE.resolve()),
        }
    )
