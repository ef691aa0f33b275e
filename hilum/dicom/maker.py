# SPDX-License-Identifier: Apache-2.0
"""Who made a result object: the same words in each of them."""

import io
from typing import Any, Final

import highdicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from hilum.dicom.codes import ARTIFICIAL_INTELLIGENCE
from hilum.dicom.quiet import quiet
from hilum.dicom.uids import new_uid
from hilum.findings import Report

MANUFACTURER: Final = "Hilum"

SERIES_NUMBERS: Final = {"SEG": 9001, "SR": 9002, "SC": 9003, "DOC": 9004}
"""Of the series of each kind of object, far behind a scanner's own."""


def equipment(report: Report, kind: str) -> dict[str, Any]:
    """Return what each highdicom object is told of its maker and of its own place.

    UIDs are new each time: another attempt at the same job may say other timings, and two objects
    of one UID must never differ.
    """
    return {
        "series_instance_uid": new_uid(),
        "series_number": SERIES_NUMBERS[kind],
        "sop_instance_uid": new_uid(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": f"{report.pipeline} {report.pipeline_version}",
        "software_versions": report.code_version,
        "device_serial_number": report.network.sha256[:16],
        "content_qualification": "RESEARCH",
    }


def algorithm(report: Report) -> highdicom.AlgorithmIdentificationSequence:
    """Identify the network that found the lesions, down to its weights."""
    network = report.network
    return highdicom.AlgorithmIdentificationSequence(
        name=network.name,
        family=ARTIFICIAL_INTELLIGENCE,
        version=network.version,
        source=f"{MANUFACTURER} {report.code_version}",
        parameters={
            "SHA-256 of the weights": network.sha256,
            "operating point": f"{network.operating_point:g}",
        },
    )


def to_bytes(dataset: Dataset, *, deflated: bool = False) -> bytes:
    """Encode an object as a DICOM file.

    Args:
        dataset: the object; its transfer syntax is set where it is to be deflated.
        deflated: compress the whole file: masks are mostly empty, and no syntax of images packs
            single bits.
    """
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    with quiet():
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
