# SPDX-License-Identifier: Apache-2.0
"""The library's front door: a folder, a zip or files in, a report out, no service running."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hilum.archive import DEFAULT_LIMITS, unpack
from hilum.catalogue import CT_LESIONS, network_name
from hilum.dicom.read import read_study
from hilum.findings import Analysis, Report
from hilum.jobs import Progress, ignore_progress
from hilum.networks.weights import load
from hilum.pipelines.base import run_pipeline


def analyse(
    path: str | Path,
    *,
    network: str | None = None,
    device: str = "auto",
    progress: Progress = ignore_progress,
) -> Report:
    """Segment, measure and grade one chest-CT study.

    Args:
        path: a folder of DICOM files, or a zip of one.
        network: `resnet50` or `resnet101`; the pipeline's default where None.
        device: `auto`, `cpu` or `cuda`.
        progress: told of stage, steps done and steps in all.

    Raises:
        InputError: the study or the network's name is at fault; the class says how.
    """
    return analyse_fully(path, network=network, device=device, progress=progress).report


def analyse_fully(
    path: str | Path,
    *,
    network: str | None = None,
    device: str = "auto",
    progress: Progress = ignore_progress,
) -> Analysis:
    """Do what `analyse` does and return the masks and the volume with the report."""
    segmenter = load(network_name(CT_LESIONS, network), device=device)
    with TemporaryDirectory(prefix="hilum-") as scratch:
        study = read_study(_files(Path(path), Path(scratch)))
        return run_pipeline(study, CT_LESIONS, segmenter, progress=progress)


def _files(path: Path, scratch: Path) -> Path | list[Path]:
    return path if path.is_dir() else unpack(path, scratch, DEFAULT_LIMITS)
