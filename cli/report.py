# SPDX-License-Identifier: Apache-2.0
"""`hilum report`: what a job found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client
from cli.connection import with_client
from cli.findings import show_report
from cli.terminal import narrate
from hilum.errors import UnknownReport

FILES: Final = {
    "montage": "montage.png",
    "lesions": "lesions.nii.gz",
    "lungs": "lungs.nii.gz",
    "segmentation": "segmentation.dcm",
    "measurements": "measurements.dcm",
    "key_image": "key-image.dcm",
    "document": "document.dcm",
}
"""Names of what a report links to."""


@click.command(short_help="Show or save the report of a job.")
@click.argument("job_id")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to save its files in."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_client
def report(client: Client, /, job_id: str, out: Path | None, *, as_json: bool) -> None:
    """Show the report of a job; with --out, save its files."""
    document = client.get(f"/v1/reports/{job_id}")
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        show_report(document)
    if out is not None:
        _save(client, document, out)


def _save(client: Client, document: Mapping[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document, indent=2))
    saved = [name for kind, name in FILES.items() if _has(client, document, kind, folder / name)]
    narrate(f"Saved report.json, {', '.join(saved)} in {folder}.")


def _has(client: Client, document: Mapping[str, Any], kind: str, target: Path) -> bool:
    """Save a file of a report; tell whether there is one: an older job left fewer."""
    try:
        client.download(document["links"][kind], target)
    except UnknownReport:
        return False
    return True
