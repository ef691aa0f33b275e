# SPDX-License-Identifier: Apache-2.0
"""The quality gate: a sheet for every series of a study, from headers alone.

It says what the series is, whether it could be read, which one is read and why not the others; it
is kept with the study, so that a refusal can be understood long after.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from pydicom.uid import UID, CTImageStorage

from hilum.dicom import geometry
from hilum.dicom.header import ENHANCED
from hilum.dicom.layout import GAP, ORIENTATION_TOLERANCE, SAME_PLACE_MM, in_order
from hilum.dicom.quiet import quiet
from hilum.dicom.selection import NO_ANATOMY, best_of, is_original, outdone, reason_for, sort_out
from hilum.study import Series, Study

FROM_SCANNERS: Final = ENHANCED | {CTImageStorage}
"""Objects that hold what a scanner saw; programs that write names use others."""

AXES: Final = ("sagittal", "coronal", "axial")
"""Planes by the axis their normal follows: x to the left, y to the back, z to the head."""

OBLIQUE: Final = "oblique"

WITH_TEXT: Final = NO_ANATOMY - {"LOCALIZER"}
"""Values of ImageType of pictures that programs write on."""


class Outcome(StrEnum):
    """What becomes of a series."""

    CHOSEN = "chosen"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class BurnedIn(StrEnum):
    """Whether the pixels may name the patient."""

    YES = "yes"
    POSSIBLE = "possible"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Steps:
    """How the slices of a series are stacked.

    Attributes:
        slices: different positions.
        repeats: slices at a position that another one has.
        gaps: steps so long that a slice is missing.
        spacing_mm: median distance of neighbours along the slice normal.
        spacing_min_mm, spacing_max_mm: the shortest and the longest.
        tilt_degrees: between slice normal and the way the slices are stacked.
    """

    slices: int
    repeats: int
    gaps: int
    spacing_mm: float
    spacing_min_mm: float
    spacing_max_mm: float
    tilt_degrees: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the gate found of one series.

    Attributes:
        series_uid: names the series.
        outcome: chosen, accepted (it could be read, another one was preferred) or refused.
        code: of the error that refuses it, as in docs/errors.md; None where nothing does.
        reason: one sentence.
        modality, kernel, body_part, photometric: as sent, "" where absent.
        is_original: whether it came from the scanner rather than from another series.
        plane: axial, coronal, sagittal, oblique; "" where slices do not say, or not alike.
        instances: files.
        frames: images in them.
        rows, columns: of the first slice.
        pixel_spacing_mm: between rows, between columns, of the first slice.
        steps: None where not every slice has a place, or they do not face one way.
        has_rescale: whether every slice says what its values mean.
        transfer_syntaxes: names of the encodings.
        burned_in: whether the pixels may name the patient.
    """

    series_uid: str
    outcome: Outcome
    code: str | None
    reason: str
    modality: str
    kernel: str
    body_part: str
    photometric: str
    is_original: bool
    plane: str
    instances: int
    frames: int
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    steps: Steps | None
    has_rescale: bool
    transfer_syntaxes: tuple[str, ...]
    burned_in: BurnedIn

    def to_json(self) -> dict[str, Any]:
        """Return the sheet as plain data."""
        return asdict(self)


def score_series(study: Study) -> list[Sheet]:
    """Return a sheet for each series of a study, in its order."""
    candidates, refused = sort_out(study)
    best = best_of(candidates) if candidates else None
    verdicts: dict[str, tuple[Outcome, str | None, str]] = {
        series.series_uid: (Outcome.REFUSED, error.code, error.message) for series, error in refused
    }
    for one in candidates:
        if best is None or one is best:
            verdict = Outcome.CHOSEN, None, reason_for(one, len(study.series))
        else:
            verdict = Outcome.ACCEPTED, None, outdone(one, best).reason
        verdicts[one.series.series_uid] = verdict
    return [_sheet(series, *verdicts[series.series_uid]) for series in study.series]


def _sheet(series: Series, outcome: Outcome, code: str | None, reason: str) -> Sheet:
    slices = series.by_slice()
    first = slices.instances[0]
    return Sheet(
        series_uid=series.series_uid,
        outcome=outcome,
        code=code,
        reason=reason,
        modality=series.modality,
        kernel=series.kernel,
        body_part=series.body_part,
        photometric=series.photometric,
        is_original=is_original(first),
        plane=_plane(slices),
        instances=len(series.instances),
        frames=sum(instance.frames for instance in series.instances),
        rows=first.rows,
        columns=first.columns,
        pixel_spacing_mm=first.pixel_spacing_mm,
        steps=_steps(slices),
        has_rescale=all(instance.has_rescale for instance in slices.instances),
        transfer_syntaxes=_transfer_syntaxes(series),
        burned_in=_burned_in(slices),
    )


def _faces_one_way(series: Series) -> bool:
    """Tell whether every slice says where it lies, and all are turned alike."""
    if any(one.position_mm is None or one.orientation is None for one in series.instances):
        return False
    first = series.instances[0]
    return all(
        geometry.turning_degrees(first, one) <= ORIENTATION_TOLERANCE for one in series.instances
    )


def _plane(series: Series) -> str:
    if not _faces_one_way(series):
        return ""
    along = np.abs(geometry.normal(series.instances[0]))
    axis = int(along.argmax())
    lean = np.degrees(np.arccos(np.clip(along[axis], 0, 1)))
    return AXES[axis] if lean <= geometry.MAX_AXIAL_ANGLE else OBLIQUE


def _steps(series: Series) -> Steps | None:
    if not _faces_one_way(series):
        return None
    ordered = in_order(series.instances)
    distances = np.diff(geometry.heights_mm(ordered, geometry.normal(ordered[0])))
    steps = distances[distances > SAME_PLACE_MM]
    if not len(steps):
        return None
    usual = float(np.median(steps))
    return Steps(
        slices=1 + len(steps),
        repeats=len(distances) - len(steps),
        gaps=int(np.count_nonzero(steps > GAP * usual)),
        spacing_mm=round(usual, 3),
        spacing_min_mm=round(float(steps.min()), 3),
        spacing_max_mm=round(float(steps.max()), 3),
        tilt_degrees=round(geometry.tilt_degrees(ordered), 2),
    )


def _transfer_syntaxes(series: Series) -> tuple[str, ...]:
    found = sorted({instance.transfer_syntax_uid for instance in series.instances})
    # A malformed UID makes pydicom warn.
    with quiet():
        return tuple(UID(each).name for each in found)


def _burned_in(series: Series) -> BurnedIn:
    kinds = {kind for instance in series.instances for kind in instance.image_type}
    if series.burned_in == "YES" or WITH_TEXT & kinds:
        return BurnedIn.YES
    from_scanner = all(
        one.sop_class_uid in FROM_SCANNERS and is_original(one) for one in series.instances
    )
    if series.burned_in == "NO" or from_scanner:
        return BurnedIn.NO
    return BurnedIn.POSSIBLE
