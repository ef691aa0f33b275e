# SPDX-License-Identifier: Apache-2.0
"""The files a job writes, one line each."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from db.claims import Artifact, Claim
from hilum.findings import Analysis
from hilum.jobs import Progress, Stage
from hilum.masks import pack_masks
from hilum.nifti import write_nifti
from hilum.render import montage_png
from hilum.storage import StudyStore


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file.

    Attributes:
        kind: its name in the API.
        file_name: in the store.
        media_type: for whoever downloads it.
        make: its bytes.
    """

    kind: str
    file_name: str
    media_type: str
    make: Callable[[Analysis], bytes]


PICTURES: Final = (
    Kind("masks", "masks.zip", "application/zip", lambda a: pack_masks(a.lungs, a.lesions)),
    Kind(
        "lesions",
        "lesions.nii.gz",
        "application/gzip",
        lambda a: write_nifti(a.lesions, a.volume.affine),
    ),
    Kind(
        "lungs", "lungs.nii.gz", "application/gzip", lambda a: write_nifti(a.lungs, a.volume.affine)
    ),
    Kind("montage", "montage.png", "image/png", montage_png),
)
"""Made from the arrays, which do not leave the worker."""

REPORT: Final = Kind(
    "report", "report.json", "application/json", lambda a: json.dumps(a.report.to_json()).encode()
)
"""Written last: it tells how long the others took."""


def write_artifacts(
    analysis: Analysis, claim: Claim, store: StudyStore, progress: Progress
) -> tuple[Analysis, list[Artifact]]:
    """Write every file of a job; return the analysis with the time that took, and the files."""
    begun = time.perf_counter()
    written, total = [], len(PICTURES) + 1
    for step, kind in enumerate(PICTURES):
        progress(Stage.WRITING, step, total)
        written.append(_write(kind, analysis, claim, store))
    timings_s = {**analysis.report.timings_s, Stage.WRITING.value: time.perf_counter() - begun}
    timed = replace(analysis, report=replace(analysis.report, timings_s=timings_s))
    written.append(_write(REPORT, timed, claim, store))
    progress(Stage.WRITING, total, total)
    return timed, written


def discard_artifacts(claim: Claim, store: StudyStore) -> None:
    """Remove what an attempt wrote that came to nothing."""
    store.delete(f"{_job_prefix(claim)}/{claim.token}")


def clear_other_attempts(claim: Claim, store: StudyStore) -> None:
    """Remove what earlier attempts wrote: a worker killed meanwhile left files no row knows."""
    prefix = _job_prefix(claim)
    if claim.attempt == 1 or not store.filesystem.exists(store.path(prefix)):
        return
    for path in store.filesystem.ls(store.path(prefix), detail=False):
        token = path.rstrip("/").rpartition("/")[2]
        if token != str(claim.token):
            store.delete(f"{prefix}/{token}")


def _job_prefix(claim: Claim) -> str:
    return f"{claim.tenant_id}/jobs/{claim.job_id}"


def _write(kind: Kind, analysis: Analysis, claim: Claim, store: StudyStore) -> Artifact:
    key = f"{_job_prefix(claim)}/{claim.token}/{kind.file_name}"
    return Artifact(kind.kind, kind.media_type, store.put(io.BytesIO(kind.make(analysis)), key))
