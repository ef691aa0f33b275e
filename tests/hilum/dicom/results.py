"""What result objects are made from and held against."""

import subprocess
from pathlib import Path

from pydicom.dataset import Dataset

from hilum.dicom.layout import lay_out
from hilum.dicom.maker import to_bytes
from hilum.dicom.read import read_study, same_image
from hilum.dicom.source import Source, read_source
from hilum.findings import Analysis
from hilum.phantom import Phantom
from tests.analyses import analysis_of
from tests.programs import installed

KINDS = ("Segmentation", "Comprehensive3DSR", "SCImage", "EncapsulatedPDF")
"""What dciodvfy calls our objects."""

IMAGES = ("CTImage", "EnhancedCTImage", "MRImage", "CRImage")
"""What it calls the images of others."""


def source_in(folder: Path) -> Source:
    """Read the slices of a folder that holds one series."""
    return read_source(lay_out(read_study(folder).series[0], same_image))


def analysis_in(folder: Path, phantom: Phantom) -> Analysis:
    """Return what a perfect network would say of a phantom whose slices lie in a folder."""
    return analysis_of(phantom, source=source_in(folder))


def errors_of(dataset: Dataset, scratch: Path) -> list[str]:
    """Return what dciodvfy of dicom3tools holds against an object: nothing, if all is well."""
    path = scratch / "object.dcm"
    path.write_bytes(to_bytes(dataset))
    return errors_in(path)


def errors_in(path: Path) -> list[str]:
    """Return the same of a file."""
    validator = installed("dciodvfy", package="dicom3tools")
    said = subprocess.run(
        [validator, path], check=False, capture_output=True, text=True, errors="replace"
    )
    # One line names the kind of object that it took the file for.
    assert set(said.stderr.splitlines()) & {*KINDS, *IMAGES}, said.stderr
    return [line for line in said.stderr.splitlines() if line.startswith("Error")]
