# SPDX-License-Identifier: Apache-2.0
"""The files a job writes."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from db.claims import Artifact, Claim
from hilum.catalogue import RESULTS
from hilum.dicom.attributes import read_attributes
from hilum.dicom.results import result_objects
from hilum.findings import Analysis
from hilum.jobs import Progress, Stage
from hilum.masks import pack_masks
from hilum.nifti import write_nifti
from hilum.render import montage_png, thumbnail_png
from hilum.storage import StudyStore


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file.

    Attributes:
        kind: its name in the API.
        file_name: in the store.
        media_type: for whoever downloads it.
    """

    kind: str
    file_name: str
    media_type: str


MASKS: Final = Kind("masks", "masks.zip", "application/zip")
LESIONS: Final = Kind("lesions", "lesions.nii.gz", "application/gzip")
LUNGS: Final = Kind("lungs", "lungs.nii.gz", "application/gzip")
MONTAGE: Final = Kind("montage", "montage.png", "image/png")
THUMBNAIL: Final = Kind("thumbnail", "thumbnail.png", "image/png")
REPORT: Final = Kind("report", "report.json", "application/json")
"""Written last: it tells how long the others took."""

DICOM: Final = {name: Kind(name, f"{name}.dcm", "application/dicom") for name in RESULTS}

KINDS: Final = (MASKS, LESIONS, LUNGS, MONTAGE, THUMBNAIL, *DICOM.values(), REPORT)


def make_files(analysis: Analysis) -> Iterator[tuple[Kind, bytes]]:
    """Make the files of an analysis but for its report, one at a time.

    They come of arrays and headers, which do not leave the worker.
    """
    yield MASKS, pack_masks(analysis.lungs, analysis.lesions)
    yield LESIONS, write_nifti(analysis.lesions, analysis.volume.affine)
    yield LUNGS, write_nifti(analysis.lungs, analysis.volume.affine)
    yield MONTAGE, montage_png(analysis)
    yield THUMBNAIL, thumbnail_png(analysis)
    for name, data in result_objects(analysis):
        yield DICOM[name], data


def write_artifacts(
    analysis: Analysis, claim: Claim, store: StudyStore, progress: Progress
) -> tuple[Analysis, list[Artifact]]:
    """Write every file of a job; return the analysis with the time that took, and the files."""
    begun = time.perf_counter()
    written: list[Artifact] = []
    progress(Stage.WRITING, 0, len(KINDS))
    for kind, data in make_files(analysis):
        written.append(_write(kind, data, claim, store))
        progress(Stage.WRITING, len(written), len(KINDS))
    timings_s = {**analysis.report.timings_s, Stage.WRITING.value: time.perf_counter() - begun}
    timed = replace(analysis, report=replace(analysis.report, timings_s=timings_s))
    written.append(_write(REPORT, json.dumps(timed.report.to_json()).encode(), claim, store))
    progress(Stage.WRITING, len(KINDS), len(KINDS))
    return timed, written


def _write(kind: Kind, data: bytes, claim: Claim, store: StudyStore) -> Artifact:
    key = f"{claim.prefix}/{kind.file_name}"
    attributes = read_attributes(data) if kind.kind in DICOM else None
    return Artifact(kind.kind, kind.media_type, store.put(io.BytesIO(data), key), attributes)
