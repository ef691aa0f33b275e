# SPDX-License-Identifier: Apache-2.0
"""`hilum segment`: one study, or one slice, without a server."""

import json
import zipfile
from pathlib import Path

import click

from cli.findings import show_report, show_slice
from cli.progress import Board
from cli.site import site_option
from cli.terminal import narrate
from hilum.dicom.results import result_objects
from hilum.findings import Analysis
from hilum.nifti import write_nifti
from hilum.pipelines.analyse import analyse_fully
from hilum.pipelines.one_slice import SliceAnalysis, analyse_slice
from hilum.registry import Registry
from hilum.render import card_png, montage_png, overlay_png


@click.command(short_help="Analyse a study or one slice without a server.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write results to."
)
@click.option(
    "--network",
    envvar="HILUM_NETWORK",
    help="As `hilum weights list` has it; else HILUM_NETWORK, else the default.",
)
@site_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def segment(
    path: Path,
    out: Path | None,
    network: str | None,
    site: Path | None,
    device: str,
    *,
    as_json: bool,
) -> None:
    """Segment, measure and grade the study in PATH, a folder or a zip of DICOM files.

    A single DICOM file is measured in square millimetres and gets no verdict.
    """
    registry = Registry(site)
    if path.is_file() and not zipfile.is_zipfile(path):
        one = analyse_slice(path, network=network, device=device, registry=registry)
        files, document = _slice_files(one), one.report.to_json()
    else:
        with Board() as board:
            whole = analyse_fully(
                path, network=network, device=device, registry=registry, progress=board.stage
            )
            board.finish()
        files, document = _study_files(whole), whole.report.to_json()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    elif "assessment" in document:
        show_report(document)
    else:
        show_slice(document)
    if out is not None:
        _write(out, {**files, "report.json": json.dumps(document, indent=2).encode()})


def _study_files(analysis: Analysis) -> dict[str, bytes]:
    affine = analysis.volume.affine
    return {
        "montage.png": montage_png(analysis),
        "card.png": card_png(analysis),
        "lesions.nii.gz": write_nifti(analysis.lesions, affine),
        "lungs.nii.gz": write_nifti(analysis.lungs, affine),
        **{f"{name}.dcm": data for name, data in result_objects(analysis)},
    }


def _slice_files(analysis: SliceAnalysis) -> dict[str, bytes]:
    return {"overlay.png": overlay_png(analysis.hu, analysis.lungs, analysis.lesions)}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    narrate(f"Wrote {', '.join(files)} to {folder}.")
