# SPDX-License-Identifier: Apache-2.0
"""The library's front door: a folder, a zip or files in, a report out, no service running."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hilum.archive import DEFAULT_LIMITS, unpack
from hilum.catalogue import CT_LESIONS
from hilum.dicom.read import read_study
from hilum.findings import Analysis, Report
from hilum.jobs import Progress, ignore_progress
from hilum.networks.weights import load
from hilum.pipelines.base import run_pipeline
from hilum.registry import SHIPPED_ALONE, Registry


def analyse(
    path: str | Path,
    *,
    network: str | None = None,
    device: str = "auto",
    registry: Registry = SHIPPED_ALONE,
    progress: Progress = ignore_progress,
) -> Report:
    """Segment, measure and grade one chest-CT study.

    Args:
        path: a folder of DICOM files, or a zip of one.
        network: a name in the registry, or `name@version`; the pipeline's default where None.
        device: `auto`, `cpu` or `cuda`.
        registry: where networks are looked for; the shipped ones where it is not given.
        progress: told of stage, steps done and steps in all.

    Raises:
        InputError: the study or the network's name is at fault; the class says how.
        BrokenWeights: the network's files are not what its card describes.
    """
    return analyse_fully(
        path, network=network, device=device, registry=registry, progress=progress
    ).report


def analyse_fully(
    path: str | Path,
    *,
    network: str | None = None,
    device: str = "auto",
    registry: Registry = SHIPPED_ALONE,
    progress: Progress = ignore_progress,
) -> Analysis:
    """Do what `analyse` does and return the masks and the volume with the report."""
    segmenter = load(network or CT_LESIONS.networks[0], device=device, registry=registry)
    with TemporaryDirectory(prefix="hilum-") as scratch:
        study = read_study(_files(Path(path), Path(scratch)))
        return run_pipeline(study, CT_LESIONS, segmenter, progress=progress)


def _files(path: Path, scratch: Path) -> Path | list[Path]:
    return path if path.is_dir() else unpack(path, scratch, DEFAULT_LIMITS)
