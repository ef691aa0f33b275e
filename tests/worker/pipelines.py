"""Pipelines that do what a test needs; each takes a moment and no network."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from hilum.catalogue import PipelineCard
from hilum.dicom.layout import lay_out
from hilum.dicom.read import read_grid, same_image
from hilum.dicom.selection import choose_ct_series
from hilum.dicom.source import read_source
from hilum.errors import NotAxial, StorageFull
from hilum.findings import Analysis
from hilum.grading import Thresholds
from hilum.jobs import Progress, Stage
from hilum.study import Study
from tests.db.factories import make_report

STEPS = 40
STEP_S = 0.05


def quick(
    study: Study,
    _card: PipelineCard,
    _segmenter: object,
    thresholds: Thresholds,
    *,
    progress: Progress,
) -> Analysis:
    """Read the series, and find the same in every one."""
    layout = lay_out(choose_ct_series(study).series, same_image)
    volume = read_grid(layout, progress)
    progress(Stage.SLICES, 1, 1)
    lungs = np.ones(volume.voxels.shape, np.uint8)
    lesions = np.zeros_like(lungs)
    lesions[4:8, 40:80, 40:80] = 2
    return Analysis(
        make_report(0.1, thresholds=thresholds), volume, lungs, lesions, read_source(layout)
    )


def slow(*args: Any, progress: Progress) -> Analysis:
    """Take two seconds over forty steps."""
    for step in range(STEPS):
        progress(Stage.SLICES, step, STEPS)
        time.sleep(STEP_S)
    return quick(*args, progress=progress)


def endless(*_: Any, progress: Progress) -> Analysis:
    """Never come to an end."""
    for step in range(10**6):
        progress(Stage.SLICES, step % STEPS, STEPS)
        time.sleep(STEP_S)
    raise AssertionError


def stubborn(*_: Any, progress: Progress) -> Analysis:
    """Never come to an end, report no step, and swallow every exception."""
    progress(Stage.SLICES, 0, 1)
    while True:
        with suppress(Exception):
            time.sleep(3600)


def deadly(*_: Any, progress: Progress) -> Analysis:
    """Kill the process, as the kernel does for want of memory."""
    progress(Stage.SLICES, 0, 1)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def faulty(*_: Any, progress: Progress) -> Analysis:
    """Read where there is no memory, as a fault in a native library does."""
    progress(Stage.SLICES, 0, 1)
    ctypes.string_at(0)
    raise AssertionError


def without_disk(*_: Any, **__: Any) -> Analysis:
    """Meet a full disk."""
    raise StorageFull("The disk has 3 MiB free, this needs 40 MiB.")


def hopeless(*_: Any, **__: Any) -> Analysis:
    """Meet a series that cannot be read."""
    raise NotAxial("The series is coronal.")


PIPELINES: dict[str, Callable[..., Analysis]] = {
    "quick": quick,
    "slow": slow,
    "endless": endless,
    "stubborn": stubborn,
    "deadly": deadly,
    "faulty": faulty,
    "without_disk": without_disk,
    "hopeless": hopeless,
}


def by_name(
    study: Study, card: PipelineCard, name: str, thresholds: Thresholds, *, progress: Progress
) -> Analysis:
    """Run the pipeline that a test's job names in place of a network, whatever its version."""
    return PIPELINES[name.partition("@")[0]](study, card, name, thresholds, progress=progress)
