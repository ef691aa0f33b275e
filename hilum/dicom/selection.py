# SPDX-License-Identifier: Apache-2.0
"""Which series of a study is read, by stated rules, and a sentence for every one that is not.

A series is read when it is an axial CT, classic or enhanced, of three slices or more. Of several:

1. an original acquisition goes before a derived one;
2. a lung kernel goes before a soft one, unless the soft series has more than twice its slices;
3. more slices go before fewer.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from pydicom.uid import UID, CTImageStorage

from hilum.dicom import geometry
from hilum.dicom.header import ENHANCED
from hilum.dicom.layout import (
    SAME_PLACE_MM,
    check_alike,
    check_count,
    check_headers,
    check_steps,
    in_order,
)
from hilum.dicom.quiet import quiet
from hilum.errors import InputError, NoCtSeries, SeriesError
from hilum.study import Instance, Passed, Series, SeriesChoice, Study

COMPARABLE: Final = 0.5
"""A lung kernel is preferred while its series has this share of the largest one's slices."""

NO_ANATOMY: Final = frozenset(
    {
        *("LOCALIZER", "SCREEN SAVE", "MPR_3D", "VRT", "DOSE_INFO"),
        *("VOLUME_RENDER", "SURFACE_RENDER"),  # of enhanced frames, PS3.3 C.8.16.2.1.3
    }
)
"""Values of ImageType that mark scouts, screen shots, renderings and dose sheets."""

NO_DENSITY: Final = frozenset(
    {
        *("PROJECTION IMAGE", "MIP", "MIN_IP", "MINIP", "MAX_IP"),
        *("MAXIMUM", "MINIMUM", "STD_DEVIATION", "SUBTRACTION", "DIVISION", "MULTIPLICATION"),
    }
)
"""Values of ImageType that mark projections, whose values are extremes over a slab, and other sums."""

LUNG_KERNELS: Final = (
    r"LUNG.*",  # GE and most others
    r"L",  # Philips
    r"[BI][A-Z]?[5-9]\d.*",  # Siemens: B70f, I50f, Br59, Bl64; from 50 on sharp
    r"FC(5|8)\d",  # Canon, Toshiba
)
"""ConvolutionKernel values made for lungs, by vendor; see docs/sources.md."""

_LUNG_KERNEL = re.compile("|".join(f"(?:{pattern})" for pattern in LUNG_KERNELS), re.IGNORECASE)
_LUNG_WORD = re.compile(r"\blungs?\b|\blunge\b|\bpoumon", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series that can be read.

    Attributes:
        series: without its scouts.
        slices: different positions; a series in ten phases has no more of them than in one.
        is_original: whether it came from the scanner rather than from another series.
        has_lung_kernel: whether it was reconstructed for lungs.
    """

    series: Series
    slices: int
    is_original: bool
    has_lung_kernel: bool


Refused = tuple[Series, InputError]


def choose_ct_series(study: Study) -> SeriesChoice:
    """Return the series to read, why this one, and why none of the others.

    Raises:
        NoCtSeries: no series of the study is a CT of slices.
        SeriesError: there is one, and this is what keeps it from being read.
    """
    candidates, refused = sort_out(study)
    if not candidates:
        raise _refusal(study, refused)
    best = best_of(candidates)
    passed = [
        *(outdone(candidate, best) for candidate in candidates if candidate is not best),
        *(Passed(series.series_uid, error.message) for series, error in refused),
    ]
    return SeriesChoice(best.series, reason_for(best, len(study.series)), tuple(passed))


# ── Which series could be read at all ─────────────────────────────────────────────────────────


def sort_out(study: Study) -> tuple[list[Candidate], list[Refused]]:
    """Part the series that can be read from those that cannot, each with what keeps it."""
    candidates, refused = [], []
    for series in study.series:
        try:
            candidates.append(_candidate(series))
        except InputError as error:
            refused.append((series, error))
    return candidates, refused


def _candidate(series: Series) -> Candidate:
    check_kind(series)
    slices = _without_scouts(series.by_slice())
    check_headers(slices)
    check_alike(slices)
    places = _places(slices)
    check_count(slices, len(places))
    check_steps(places, slices)
    return Candidate(
        series=slices,
        slices=len(places),
        is_original=is_original(slices.instances[0]),
        has_lung_kernel=has_lung_kernel(series),
    )


def check_kind(series: Series) -> None:
    """Make sure that a series holds CT images, of one slice each unless they are enhanced.

    Raises:
        NoCtSeries: it holds something else.
    """
    first = series.instances[0]
    if series.modality not in {"CT", ""}:
        raise NoCtSeries(f"Series {series.series_uid} has modality {series.modality}, expected CT.")
    if first.sop_class_uid in ENHANCED:
        return
    # Modality is absent from some anonymised files; the kind of object then tells.
    if first.sop_class_uid != CTImageStorage and (first.sop_class_uid or not series.modality):
        raise NoCtSeries(
            f"Series {series.series_uid} holds {_kind(first.sop_class_uid)},"
            " expected CT Image Storage, classic or enhanced."
        )
    if first.frames > 1:
        raise NoCtSeries(
            f"Series {series.series_uid} is classic CT with {first.frames} frames in one instance,"
            " expected one slice an instance."
        )


def _kind(sop_class_uid: str) -> str:
    # A malformed UID makes pydicom warn.
    with quiet():
        return UID(sop_class_uid).name or "unknown objects"


def _without_scouts(series: Series) -> Series:
    """Return the series without scouts and projections, which some scanners file among slices."""
    kept = tuple(
        instance
        for instance in series.instances
        if not (NO_ANATOMY | NO_DENSITY) & set(instance.image_type)
    )
    if not kept:
        kinds = "\\".join(series.instances[0].image_type)
        raise NoCtSeries(
            f"Series {series.series_uid} has image type {kinds}, expected cross-sections."
        )
    return replace(series, instances=kept)


def _places(series: Series) -> list[Instance]:
    """Return one slice of each place, from the feet to the head."""
    ordered = in_order(series.instances)
    heights = geometry.heights_mm(ordered, geometry.normal(ordered[0]))
    first_there = np.diff(heights, prepend=-np.inf) > SAME_PLACE_MM
    return [instance for instance, is_first in zip(ordered, first_there, strict=True) if is_first]


def is_original(instance: Instance) -> bool:
    """Tell whether an image came from the scanner rather than from another image."""
    return not {"DERIVED", "SECONDARY"} & set(instance.image_type)


def has_lung_kernel(series: Series) -> bool:
    """Tell whether a series was reconstructed for lungs: by its kernel, else by its description."""
    if series.kernel:
        return _LUNG_KERNEL.fullmatch(series.kernel) is not None
    return _LUNG_WORD.search(series.description) is not None


def _refusal(study: Study, refused: list[Refused]) -> InputError:
    # Series come by falling size, so the first is the one that was meant.
    for _, error in refused:
        if isinstance(error, SeriesError):
            return error
    reasons = " ".join(error.message for _, error in refused[:3])
    return NoCtSeries(
        f"None of the {len(refused)} series of study {study.study_uid} can be read. {reasons}"
    )


# ── Which of them is read ─────────────────────────────────────────────────────────────────────


def best_of(candidates: list[Candidate]) -> Candidate:
    """Return the one that is read, by the rules at the top."""
    originals = [candidate for candidate in candidates if candidate.is_original]
    running = originals or candidates
    enough = COMPARABLE * max(candidate.slices for candidate in running)
    # The UID breaks a tie, so that the same study always gives the same choice.
    return max(
        running,
        key=lambda candidate: (
            candidate.has_lung_kernel and candidate.slices >= enough,
            candidate.slices,
            candidate.series.series_uid,
        ),
    )


def reason_for(best: Candidate, total: int) -> str:
    """Say in a sentence why this one is read."""
    rank = "the only series" if total == 1 else f"the first of {total} series by the rules"
    return f"Read the {_described(best)}, {rank}."


def outdone(candidate: Candidate, best: Candidate) -> Passed:
    """Say in a sentence why this one is not read although it could be."""
    uid = candidate.series.series_uid
    return Passed(uid, f"Series {uid} is {_described(candidate)}: {_difference(candidate, best)}.")


def _difference(candidate: Candidate, best: Candidate) -> str:
    if best.is_original and not candidate.is_original:
        return "an original acquisition was preferred"
    if best.has_lung_kernel and not candidate.has_lung_kernel:
        return "a lung kernel was preferred"
    if best.slices > candidate.slices:
        return f"the chosen series has {best.slices} slices"
    return "an equal series was read"


def _described(candidate: Candidate) -> str:
    origin = "original" if candidate.is_original else "derived"
    kernel = candidate.series.kernel or "unnamed"
    kind = "lung" if candidate.has_lung_kernel else "soft"
    return f"{origin} axial CT of {candidate.slices} slices with {kind} kernel {kernel}"
