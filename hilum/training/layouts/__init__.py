# SPDX-License-Identifier: Apache-2.0
"""Folders of labelled slices, in the layouts in which hospitals and data sets keep them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import ConfigurationError
from hilum.training.data import Example, check_names, picture_paths, read_labelled
from hilum.training.layouts.dicom import is_dicom_with_seg, read_dicom
from hilum.training.layouts.nifti import read_nifti
from hilum.training.layouts.pairs import pairs


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to keep slices and their labels.

    Attributes:
        description: what lies where.
        fits: tells whether a folder is kept so.
        read: returns its slices.
    """

    description: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], list[Example]]


LAYOUTS = (
    Layout(
        "images/*.png or *.jpg with masks/*.png of the same names",
        lambda folder: bool(picture_paths(folder / "images")),
        read_labelled,
    ),
    Layout(
        "NIfTI volumes with their masks, as COVID-19-CT-Seg, MosMedData or MedSeg publish them,"
        " or as NAME.nii.gz with NAME_mask.nii.gz",
        lambda folder: bool(pairs(folder)),
        read_nifti,
    ),
    Layout("DICOM CT series with DICOM SEG objects", is_dicom_with_seg, read_dicom),
)
"""The layouts, cheapest to recognise first."""


def read_examples(folder: Path) -> list[Example]:
    """Read the labelled slices of a folder, whichever of `LAYOUTS` it has, ordered by name.

    Slices of volumes are upright, windowed and cropped to the lungs as a pipeline would, and their
    names are `<volume>_<slice>`.

    Raises:
        ConfigurationError: the folder has none of the layouts, no slice with lung, or two of one
            name.
    """
    layout = next((layout for layout in LAYOUTS if layout.fits(folder)), None)
    if layout is None:
        known = "; ".join(f"({n}) {each.description}" for n, each in enumerate(LAYOUTS, 1))
        raise ConfigurationError(f"{folder}: no known layout of labelled slices, expected {known}.")
    examples = sorted(layout.read(folder), key=lambda example: example.name)
    if not examples:
        raise ConfigurationError(f"{folder}: no slice with lung and labels, expected at least one.")
    check_names(examples)
    return examples
