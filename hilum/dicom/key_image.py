# SPDX-License-Identifier: Apache-2.0
"""The report's picture as a DICOM Secondary Capture (PS3.3 A.8), for whoever has only a viewer."""

from typing import Final

import numpy as np
from highdicom.sc import SCImage
from pydicom.uid import ExplicitVRLittleEndian

from hilum.dicom.maker import equipment
from hilum.dicom.quiet import quiet
from hilum.findings import Analysis
from hilum.render import card

DESCRIPTION: Final = "Key image, not for diagnosis"


def key_image(analysis: Analysis) -> SCImage:
    """Return the slice with the largest lesion, beside the report in words, as an image of its study.

    It says in the picture and in its header that it is not for diagnosis, and names no patient in
    the picture.
    """
    reference = analysis.source.headers[0]
    with quiet():
        image = SCImage.from_ref_dataset(
            reference,
            pixel_array=np.array(card(analysis)),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            # The slice in it lies upright: rows run to the left, columns to the back.
            patient_orientation=("L", "P"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description=DESCRIPTION,
            **equipment(analysis.report, "SC"),
        )
    image.BodyPartExamined = "CHEST"
    # No name is written here; one may be in the slice already.
    image.BurnedInAnnotation = reference.get("BurnedInAnnotation", "NO")
    image.ImageComments = analysis.report.intended_use
    image.DerivationDescription = "Lesions of a network painted over a slice"
    return image
