# SPDX-License-Identifier: Apache-2.0
"""From files to a study, from a series to a volume, from one file to one slice."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.dicom.geometry import MAX_AXIAL_ANGLE, Turn, axial_angle
from hilum.dicom.header import Header, read_header
from hilum.dicom.layout import Layout, lay_out
from hilum.dicom.pixels import Images, read_hu
from hilum.dicom.quiet import quiet
from hilum.dicom.selection import check_kind
from hilum.errors import MissingSpacing, MixedStudies, NoCtSeries, NoDicom, UnknownSlice
from hilum.jobs import Progress, Stage, ignore_progress
from hilum.study import Instance, Series, Study
from hilum.volume import Volume


def read_study(source: Path | Iterable[Path]) -> Study:
    """Return what a folder, or these files, hold; headers only, files of other kinds passed over.

    Raises:
        NoDicom: none of the files is a DICOM instance.
        MixedStudies: they belong to more than one study.
    """
    paths = list(_files(source))
    with quiet():
        headers = [header for path in paths if (header := read_header(path)) is not None]
    if not headers:
        raise NoDicom(f"None of the {len(paths)} files is a DICOM instance with its three UIDs.")
    study_uids = {header.study_uid for header in headers}
    if len(study_uids) > 1:
        raise MixedStudies(
            f"The {len(headers)} instances belong to {len(study_uids)} studies, expected one:"
            f" {', '.join(sorted(study_uids)[:3])}."
        )
    study_date = next((header.study_date for header in headers if header.study_date), "")
    return Study(headers[0].study_uid, study_date, _series(headers))


def read_volume(series: Series, progress: Progress = ignore_progress) -> Volume:
    """Return a series as one grid: z grows to the head, y to the back, x to the patient's left.

    Raises:
        SeriesError: its subclass names what keeps the slices from being one grid.
    """
    return read_grid(lay_out(series, same_image), progress)


def read_grid(layout: Layout, progress: Progress = ignore_progress) -> Volume:
    """Read the pixels of a series that is laid out.

    Raises:
        SeriesError: its subclass names what is wrong with an image.
    """
    voxels = _read_slices(layout, progress)
    return Volume(
        voxels,
        layout.affine,
        tuple(instance.sop_instance_uid for instance in layout.instances),
        layout.warnings,
        tuple(instance.frame + 1 for instance in layout.instances),
    )


def read_slice(
    path: Path, frame: int | None = None
) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Return one file's image in Hounsfield units, [y, x], and its pixel spacing y, x in mm.

    An axial slice is turned upright as in a volume; any other stays as it is stored.

    Args:
        path: of one slice, or of an enhanced instance.
        frame: which of its frames, from 0; None where there must be one alone.

    Raises:
        NoDicom: the file is not a DICOM instance.
        NoCtSeries: it is not a CT slice, or several.
        UnknownSlice: it has no such frame.
        SeriesError: its subclass names what is wrong with the image.
    """
    instance = _frame_of(_ct_instance(path), frame)
    if instance.pixel_spacing_mm is None:
        raise MissingSpacing(f"Instance {instance.sop_instance_uid} has no usable pixel spacing.")
    turn = _slice_turn(instance)
    image = np.ascontiguousarray(turn.apply(read_hu(instance)))
    down, across = instance.pixel_spacing_mm
    return image, (across, down) if turn.transpose else (down, across)


def read_slices(places: Iterable[tuple[Path, int]]) -> Iterator[NDArray[np.int16]]:
    """Yield the slices of a volume in Hounsfield units, [y, x], one at a time and never all.

    Args:
        places: file and frame, from 0, of each slice of one series, in the order of its volume.

    Raises:
        NoDicom, NoCtSeries, UnknownSlice, SeriesError: as `read_slice`, when that slice's turn comes.
    """
    # An enhanced instance has the header of all its frames.
    instance_of = cache(_ct_instance)
    turn: Turn | None = None
    with Images() as images:
        for path, frame in places:
            instance = _frame_of(instance_of(path), frame)
            # As in a volume, the first slice says it for all.
            turn = turn or _slice_turn(instance)
            yield turn.apply(images.read_hu(instance))


def same_image(one: Instance, other: Instance) -> bool:
    """Tell whether two instances hold the same Hounsfield units."""
    with Images() as images:
        return np.array_equal(images.read_hu(one), images.read_hu(other))


def _ct_instance(path: Path) -> Instance:
    with quiet():
        header = read_header(path)
    if header is None:
        raise NoDicom("The file is not a DICOM instance with its three UIDs.")
    check_kind(_one_series([header]))
    return header.instance


def _frame_of(instance: Instance, frame: int | None) -> Instance:
    slices = instance.slices or (instance,)
    if frame is None and len(slices) > 1:
        raise NoCtSeries(
            f"Instance {instance.sop_instance_uid} holds {len(slices)} slices, expected one."
        )
    if (frame or 0) >= len(slices):
        raise UnknownSlice(
            f"Instance {instance.sop_instance_uid} has no frame {(frame or 0) + 1}; there are 1 to"
            f" {len(slices)}."
        )
    return slices[frame or 0]


def _files(source: Path | Iterable[Path]) -> Iterator[Path]:
    if not isinstance(source, Path):
        return iter(source)
    if source.is_dir():
        return (path for path in sorted(source.rglob("*")) if path.is_file())
    return iter([source])


def _series(headers: list[Header]) -> tuple[Series, ...]:
    groups: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        groups[header.series_uid].append(header)
    series = (_one_series(group) for group in groups.values())
    return tuple(sorted(series, key=lambda each: (-len(each.instances), each.series_uid)))


def _one_series(headers: list[Header]) -> Series:
    first = headers[0]
    return Series(
        series_uid=first.series_uid,
        modality=first.modality,
        description=first.description,
        kernel=first.kernel,
        image_type=first.instance.image_type,
        instances=tuple(header.instance for header in headers),
        body_part=first.body_part,
        photometric=first.photometric,
        burned_in=_burned_in(headers),
    )


def _burned_in(headers: list[Header]) -> str:
    """Return YES where one slice says so, NO where all do."""
    said = {header.burned_in for header in headers}
    if "YES" in said:
        return "YES"
    return "NO" if said == {"NO"} else ""


def _read_slices(layout: Layout, progress: Progress) -> NDArray[np.int16]:
    total = len(layout.instances)
    progress(Stage.READING, 0, total)
    with Images() as images:
        upright = (layout.turn.apply(images.read_hu(one)) for one in layout.instances)
        first = next(upright)
        # One array for all, filled slice by slice: a long series is never held twice. Its size is
        # that of an image, since a header may claim any.
        voxels = np.empty((total, *first.shape), np.int16)
        for index, image in enumerate(chain([first], upright)):
            voxels[index] = image
            progress(Stage.READING, index + 1, total)
    return voxels


def _slice_turn(instance: Instance) -> Turn:
    if instance.orientation is None or axial_angle(instance) > MAX_AXIAL_ANGLE:
        return Turn()
    return Turn.of(instance)
