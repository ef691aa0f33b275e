# SPDX-License-Identifier: Apache-2.0
"""DICOM CT series with the DICOM SEG objects that refer to them, from any number of studies."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from hilum.catalogue import CONSOLIDATION, CT_LESIONS, GROUND_GLASS
from hilum.dicom.geometry import Turn
from hilum.dicom.header import BROKEN, integer, open_dataset, read_header, text
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_study, read_volume
from hilum.errors import ConfigurationError
from hilum.study import Instance, Series, Study
from hilum.training.data import Example
from hilum.training.layouts.volumes import cut_slices
from hilum.volume import Volume

SEG = "SEG"
"""Modality of segmentations (PS3.3 C.7.3.1.1.1)."""

LABELS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"consolidat", re.IGNORECASE), CONSOLIDATION.value),
    (re.compile(r"ground.?glass|\bggo\b", re.IGNORECASE), GROUND_GLASS.value),
    (re.compile(r"infect|lesion|opacit|pneumonia", re.IGNORECASE), GROUND_GLASS.value),
)
"""What segments of other makers may be called, and their class; the code of a segment goes first.
Lesions without a class are read as ground-glass opacity, the more frequent of the two."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A CT series with what was drawn on it.

    Attributes:
        name: `patient<n>-<series UID>`; the number stands for a patient id, which stays inside.
        series: the slices.
        segmentations: files of the SEG objects that refer to them.
    """

    name: str
    series: Series
    segmentations: tuple[Path, ...]


def is_dicom_with_seg(folder: Path) -> bool:
    """Tell whether any file of a folder is a DICOM segmentation."""
    with quiet():
        headers = (read_header(path) for path in _files(folder))
        return any(header is not None and header.modality == SEG for header in headers)


def read_dicom(folder: Path) -> list[Example]:
    """Read every slice with lung of every series that a segmentation refers to.

    A segmentation may leave empty frames out, so a slice without a frame is free of lesions.

    Raises:
        ConfigurationError: a segmentation cannot be read, or its slices are not in the folder.
        SeriesError: a series is not one grid of voxels.
    """
    return [example for one in _find(folder) for example in _cut(one, read_volume(one.series))]


def _cut(one: Annotated, volume: Volume) -> list[Example]:
    """Cut a series with what its segmentations mark; one of lungs alone may lie beside others."""
    labels = np.zeros(volume.voxels.shape, np.uint8)
    known = {path: classes for path in one.segmentations if (classes := _classes(path))}
    if not known:
        raise _unknown(one.segmentations[0])
    for path, classes in known.items():
        with _open(path) as dataset:
            _paint(labels, dataset, volume, one.series, classes)
    return cut_slices(one.name, volume, labels)


@contextmanager
def _open(path: Path, *, pixels: bool = True) -> Iterator[Dataset]:
    """Read a segmentation; what is broken in it is refused, wherever it shows."""
    with quiet():
        try:
            yield dcmread(path, stop_before_pixels=not pixels)
        except BROKEN as error:
            raise ConfigurationError(
                f"{path}: not a usable segmentation ({type(error).__name__}: {error})."
            ) from error


# ── Which segmentation belongs to which series ────────────────────────────────────────────────


def _find(folder: Path) -> Iterator[Annotated]:
    patients: dict[str, int] = {}
    for paths in _by_study(folder):
        study = read_study(paths)
        for series, segmentations in _annotated(study):
            patient = _patient(series.instances[0].path) or str(paths[0])
            number = patients.setdefault(patient, len(patients))
            yield Annotated(f"patient{number:03d}-{series.series_uid}", series, segmentations)


def _patient(path: Path) -> str:
    with quiet():
        dataset = open_dataset(path, keywords=["PatientID"], stop_before_pixels=True)
    return text(dataset, "PatientID") if dataset else ""


def _by_study(folder: Path) -> list[list[Path]]:
    studies: dict[str, list[Path]] = defaultdict(list)
    with quiet():
        for path in _files(folder):
            if header := read_header(path):
                studies[header.study_uid].append(path)
    return [studies[uid] for uid in sorted(studies)]


def _annotated(study: Study) -> Iterator[tuple[Series, tuple[Path, ...]]]:
    drawn = [
        instance.path
        for series in study.series
        if series.modality == SEG
        for instance in series.instances
    ]
    wanted = {path: _source_uids(path) for path in drawn}
    found: set[Path] = set()
    for series in study.series:
        here = {instance.sop_instance_uid for instance in series.instances}
        fitting = tuple(path for path in drawn if wanted[path] & here)
        found.update(fitting)
        if fitting:
            yield series, fitting
    if lost := [path for path in drawn if path not in found]:
        raise ConfigurationError(
            f"{lost[0]}: none of the {len(wanted[lost[0]])} slices that this segmentation refers to"
            f" is in study {study.study_uid}, expected their series beside it."
        )


def _source_uids(path: Path) -> set[str]:
    """Return every instance that a segmentation names, frame by frame or as a whole."""
    with _open(path, pixels=False) as dataset:
        return {
            str(element.value)
            for element in dataset.iterall()
            if element.keyword == "ReferencedSOPInstanceUID"
        }


# ── From frames to labels ─────────────────────────────────────────────────────────────────────


def _paint(
    labels: NDArray[np.uint8],
    dataset: Dataset,
    volume: Volume,
    series: Series,
    classes: Mapping[int, int],
) -> None:
    """Paint the frames of a segmentation over labels [z, y, x]; the higher class stays on top."""
    names = zip(volume.instance_uids, volume.frame_numbers, strict=True)
    slices: dict[tuple[str, int | None], int] = {name: z for z, name in enumerate(names)}
    shared = dataset.SharedFunctionalGroupsSequence[0]
    own_groups = dataset.PerFrameFunctionalGroupsSequence
    for frame, own in zip(_frames(dataset), own_groups, strict=True):
        number = _group("SegmentIdentificationSequence", own, shared).ReferencedSegmentNumber
        if number not in classes:
            continue
        z = _place(own, volume, slices)
        drawn = _turn(own, shared, series.by_slice().instances[0]).apply(frame.astype(np.int16))
        if drawn.shape != labels.shape[1:]:
            raise ConfigurationError(
                f"Segmentation {dataset.SOPInstanceUID}: frames of {drawn.shape} pixels, expected "
                f"{labels.shape[1:]}, those of series {series.series_uid}."
            )
        np.maximum(labels[z], drawn.astype(np.uint8) * classes[number], out=labels[z])


def _classes(path: Path) -> Mapping[int, int]:
    """Return the class of each segment number that has one."""
    with _open(path, pixels=False) as dataset:
        return {
            int(segment.SegmentNumber): label
            for segment in dataset.SegmentSequence
            if (label := _class(segment)) is not None
        }


def _unknown(path: Path) -> ConfigurationError:
    wanted = ", ".join(label.name for label in CT_LESIONS.labels)
    with _open(path, pixels=False) as dataset:
        names = ", ".join(repr(str(one.get("SegmentLabel", ""))) for one in dataset.SegmentSequence)
        return ConfigurationError(
            f"Segmentation {dataset.SOPInstanceUID}: segments {names}, expected one of {wanted}."
        )


def _class(segment: Dataset) -> int | None:
    codes = segment.get("SegmentedPropertyTypeCodeSequence") or []
    for code in codes:
        coded = (str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", "")))
        for label in CT_LESIONS.labels:
            if label.code == coded:
                return label.value
    named = f"{segment.get('SegmentLabel', '')} {segment.get('SegmentDescription', '')}"
    return next((label for words, label in LABELS if words.search(named)), None)


def _frames(dataset: Dataset) -> NDArray[np.bool_]:
    """Return what each frame marks, [n, rows, columns]; probabilities are cut at one half."""
    kind = str(dataset.SegmentationType)
    if kind not in {"BINARY", "FRACTIONAL"}:
        raise ConfigurationError(
            f"Segmentation {dataset.SOPInstanceUID}: type {kind}, expected BINARY or FRACTIONAL."
        )
    stored = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    full = 1 if kind == "BINARY" else int(dataset.MaximumFractionalValue)
    marked: NDArray[np.bool_] = stored.astype(np.uint16) * 2 >= full
    return marked


def _place(own: Dataset, volume: Volume, slices: Mapping[tuple[str, int | None], int]) -> int:
    """Return the z of a frame: by the slice it was drawn on, else by where it lies."""
    for derivation in own.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            uid = str(source.get("ReferencedSOPInstanceUID", ""))
            frame = (
                integer(source, "ReferencedFrameNumber") if "ReferencedFrameNumber" in source else 1
            )
            if (uid, frame) in slices:
                return slices[uid, frame]
    position = [float(each) for each in own.PlanePositionSequence[0].ImagePositionPatient]
    z = float((np.linalg.inv(volume.affine) @ [*position, 1.0])[0])
    if round(z) not in range(len(slices)):
        raise ConfigurationError(
            f"Frame at {position} mm: slice {z:.1f} of its series, expected 0 to {len(slices) - 1}."
        )
    return round(z)


def _turn(own: Dataset, shared: Dataset, source: Instance) -> Turn:
    """Return what makes a frame upright: by its own orientation, else by its source's."""
    if "PlaneOrientationSequence" not in own and "PlaneOrientationSequence" not in shared:
        return Turn.of(source)
    cosines = _group("PlaneOrientationSequence", own, shared).ImageOrientationPatient
    x, y, z, u, v, w = (float(each) for each in cosines)
    return Turn.of(replace(source, orientation=(x, y, z, u, v, w)))


def _group(keyword: str, own: Dataset, shared: Dataset) -> Dataset:
    """Return a functional group of a frame, which all frames may share."""
    group: Dataset = (own if keyword in own else shared)[keyword][0]
    return group


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
