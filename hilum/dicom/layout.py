# SPDX-License-Identifier: Apache-2.0
"""A series laid out as one regular grid, or the reason why it is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.dicom import geometry
from hilum.dicom.geometry import Turn
from hilum.errors import (
    DuplicatePositions,
    MissingPosition,
    MissingRescale,
    MissingSlices,
    MissingSpacing,
    MixedOrientations,
    MixedSizes,
    NotAxial,
    SeriesError,
    SingleSlice,
    UnreadablePixels,
)
from hilum.study import Instance, Series

MIN_SLICES: Final = 3
"""Two planes have a distance and no second one to hold it against, so a gap would pass unseen."""

ORIENTATION_TOLERANCE: Final = 0.5
"""Degrees by which slices of one series may differ: what the rounding of cosines explains."""

PIXEL_TOLERANCE_MM: Final = 1e-3
"""By how much the pixel spacing of slices may differ: what rounding explains."""

SAME_PLACE_MM: Final = 0.01
"""Positions are decimal strings that vendors round, so equal ones may differ in the last digit."""

UNEVEN: Final = 0.1
"""A step may differ from the median by this fraction before it is mentioned."""

GAP: Final = 1.5
"""A step of this many medians means that a slice is missing."""

CROWD: Final = 0.5
"""A step of less than this many medians means that two slices claim one place."""

TILT_NOTED: Final = 0.5
"""Degrees of gantry tilt worth a warning."""

DRIFT_NOTED_MM: Final = 1.0
"""Slice origins may stray so far from a straight line before it is mentioned."""

SameImage = Callable[[Instance, Instance], bool]
"""Tells whether two instances hold the same pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A series as one regular grid, before its pixels are read.

    Attributes:
        instances: from the feet to the head, each place once.
        turn: how each image is turned upright.
        affine: 4 x 4, maps (z, y, x, 1) to LPS millimetres.
        warnings: what was odd and how it was handled.
    """

    instances: tuple[Instance, ...]
    turn: Turn
    affine: NDArray[np.float64]
    warnings: tuple[str, ...]


def lay_out(series: Series, same_image: SameImage) -> Layout:
    """Return the order and the geometry of a series, enhanced ones frame by frame.

    Raises:
        SeriesError: its subclass names what keeps the slices from being one grid.
    """
    series = series.by_slice()
    check_headers(series)
    check_alike(series)
    ordered, repeats = _without_repeats(in_order(series.instances), series, same_image)
    check_count(series, len(ordered))
    check_steps(ordered, series)
    turn = Turn.of(ordered[0])
    return Layout(
        instances=tuple(ordered),
        turn=turn,
        affine=geometry.grid_affine(ordered, turn),
        warnings=(*_repeat_warning(repeats), *_warnings(ordered)),
    )


# ── What every slice must say, and all must say alike ─────────────────────────────────────────


def check_headers(series: Series) -> None:
    """Make sure that every slice says where it lies, how large it is and what its values mean."""
    needs: tuple[tuple[Callable[[Instance], bool], type[SeriesError], str], ...] = (
        (_has_place, MissingPosition, "no usable position and orientation in the patient"),
        (_has_spacing, MissingSpacing, "no usable pixel spacing"),
        (_has_size, MixedSizes, "no rows and columns"),
        (_has_rescale, MissingRescale, "no usable rescale slope and intercept to HU"),
        (_has_image, UnreadablePixels, "no image in its file"),
    )
    for is_met, error, lack in needs:
        lacking = [instance for instance in series.instances if not is_met(instance)]
        if lacking:
            raise error(
                f"Series {series.series_uid}: {name(lacking[0])} has {lack}; {len(lacking)} of"
                f" {len(series.instances)} slices lack it, expected none."
            )


def check_alike(series: Series) -> None:
    """Make sure that all slices are axial, face one way and have one size."""
    first = series.instances[0]
    for other in series.instances:
        _check_orientation(first, other, series)
        _check_size(first, other, series)
    angle = geometry.axial_angle(first)
    if angle > geometry.MAX_AXIAL_ANGLE:
        raise NotAxial(
            f"Series {series.series_uid}: slices lean {angle:.0f} degrees from axial,"
            f" expected at most {geometry.MAX_AXIAL_ANGLE:.0f}."
        )


def check_count(series: Series, count: int) -> None:
    """Make sure that there are enough slices to measure a volume and see a gap."""
    if count < MIN_SLICES:
        raise SingleSlice(
            f"Series {series.series_uid} has {count} slice{'s' * (count != 1)} at different"
            f" positions, expected at least {MIN_SLICES} to measure a volume."
        )


def _check_orientation(first: Instance, other: Instance, series: Series) -> None:
    degrees = geometry.turning_degrees(first, other)
    if degrees > ORIENTATION_TOLERANCE:
        raise MixedOrientations(
            f"Series {series.series_uid}: {name(other)} is turned {degrees:.1f} degrees against"
            f" {name(first)}, expected one orientation."
        )


def _check_size(first: Instance, other: Instance, series: Series) -> None:
    spacing, expected = np.array(other.pixel_spacing_mm), np.array(first.pixel_spacing_mm)
    same_spacing = np.abs(spacing - expected).max() <= PIXEL_TOLERANCE_MM
    if (other.rows, other.columns) == (first.rows, first.columns) and same_spacing:
        return
    raise MixedSizes(
        f"Series {series.series_uid}: {name(other)} is {_size(other)},"
        f" {name(first)} is {_size(first)}; expected one size."
    )


def _size(instance: Instance) -> str:
    down, across = instance.pixel_spacing_mm or (0.0, 0.0)
    return f"{instance.rows} x {instance.columns} px of {down:.4g} x {across:.4g} mm"


def _has_place(instance: Instance) -> bool:
    return instance.position_mm is not None and instance.orientation is not None


def _has_spacing(instance: Instance) -> bool:
    return instance.pixel_spacing_mm is not None


def _has_size(instance: Instance) -> bool:
    return instance.rows > 0 and instance.columns > 0


def _has_rescale(instance: Instance) -> bool:
    return instance.has_rescale


def _has_image(instance: Instance) -> bool:
    return instance.frame < instance.frames


# ── Order, repeats, gaps ──────────────────────────────────────────────────────────────────────


def in_order(instances: Sequence[Instance]) -> list[Instance]:
    """Return the slices from the feet to the head, by position and never by number."""
    heights = geometry.heights_mm(instances, geometry.normal(instances[0]))
    return [instances[index] for index in np.argsort(heights, kind="stable")]


def _without_repeats(
    ordered: list[Instance], series: Series, same_image: SameImage
) -> tuple[list[Instance], int]:
    """Return the slices with each place once, and how many were dropped as sent twice."""
    kept: list[Instance] = []
    for instance in ordered:
        if not kept or _step_mm(kept[-1], instance) > SAME_PLACE_MM:
            kept.append(instance)
        elif not same_image(kept[-1], instance):
            raise DuplicatePositions(
                f"Series {series.series_uid}: {name(kept[-1])} and {name(instance)} lie at the"
                " same position with different pixels, expected one slice a position."
            )
    return kept, len(ordered) - len(kept)


def check_steps(ordered: Sequence[Instance], series: Series) -> None:
    """Make sure that slices, each place once, follow one another without gap or crowd."""
    steps = [_step_mm(before, after) for before, after in pairwise(ordered)]
    usual = float(np.median(steps))
    for before, after, step in zip(ordered, ordered[1:], steps, strict=False):
        if step > GAP * usual:
            raise MissingSlices(_apart(series, before, after, step, usual))
        if step < CROWD * usual:
            raise DuplicatePositions(_apart(series, before, after, step, usual))


def _apart(series: Series, before: Instance, after: Instance, step: float, usual: float) -> str:
    return (
        f"Series {series.series_uid}: {step:.1f} mm between {_placed(before)} and"
        f" {_placed(after)}, expected {usual:.1f} mm."
    )


def _step_mm(before: Instance, after: Instance) -> float:
    low, high = geometry.heights_mm([before, after], geometry.normal(before))
    return float(high - low)


# ── Words ─────────────────────────────────────────────────────────────────────────────────────


def name(instance: Instance) -> str:
    """Return what people call a slice: its number, or its UID where it has none."""
    number = instance.instance_number
    named = f"instance {instance.sop_instance_uid if number is None else number}"
    # People and DICOM count frames from 1.
    return named if instance.frames == 1 else f"frame {instance.frame + 1} of {named}"


def _placed(instance: Instance) -> str:
    z = instance.position_mm[2] if instance.position_mm else float("nan")
    return f"{name(instance)} (z {z:.1f} mm)"


def _repeat_warning(repeats: int) -> list[str]:
    if not repeats:
        return []
    return [f"{repeats} slice{'s' * (repeats != 1)} sent more than once; each was read once."]


def _warnings(ordered: Sequence[Instance]) -> list[str]:
    found = []
    steps = [_step_mm(before, after) for before, after in pairwise(ordered)]
    usual = float(np.median(steps))
    if max(abs(step - usual) for step in steps) > UNEVEN * usual:
        found.append(
            f"Slices lie {min(steps):.2f} to {max(steps):.2f} mm apart; the mean of"
            f" {np.mean(steps):.2f} mm was used."
        )
    tilt = geometry.tilt_degrees(ordered)
    if tilt > TILT_NOTED:
        found.append(
            f"The gantry was tilted by {tilt:.1f} degrees; volumes use the distance of"
            f" {np.mean(steps):.2f} mm along the slice normal."
        )
    drift = geometry.drift_mm(ordered)
    if drift > DRIFT_NOTED_MM:
        found.append(f"Slice origins stray up to {drift:.1f} mm from a straight line.")
    return found
