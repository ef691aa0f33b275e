# SPDX-License-Identifier: Apache-2.0
"""The objects that an analysis leaves in its study."""

from collections.abc import Iterator

from hilum.catalogue import pipeline_card
from hilum.dicom.document import document
from hilum.dicom.key_image import key_image
from hilum.dicom.maker import to_bytes
from hilum.dicom.seg import segmentation
from hilum.dicom.sr import measurement_report
from hilum.findings import Analysis


def result_objects(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    """Make each object of `hilum.catalogue.RESULTS` as a DICOM file, one at a time."""
    labels = pipeline_card(analysis.report.pipeline).labels
    lesions = segmentation(analysis, labels)
    yield "segmentation", to_bytes(lesions, deflated=True)
    yield "measurements", to_bytes(measurement_report(analysis, labels, lesions))
    yield "key-image", to_bytes(key_image(analysis))
    yield "document", to_bytes(document(analysis))
