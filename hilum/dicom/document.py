# SPDX-License-Identifier: Apache-2.0
"""The report on paper as a DICOM Encapsulated PDF (PS3.3 A.45.1)."""

from typing import Final

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from hilum.dicom.codes import CT_CHEST, code_item
from hilum.dicom.maker import equipment
from hilum.dicom.quiet import quiet
from hilum.findings import Analysis
from hilum.pdf import report_pdf

DESCRIPTION: Final = "Report on paper"


def document(analysis: Analysis) -> SOPClass:
    """Return the report as a document of the study."""
    header = analysis.source.headers[0]
    with quiet():
        made = SOPClass(
            study_instance_uid=header.StudyInstanceUID,
            sop_class_uid=EncapsulatedPDFStorage,
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            patient_id=header.PatientID,
            patient_name=header.PatientName,
            patient_birth_date=header.PatientBirthDate,
            patient_sex=header.PatientSex,
            study_date=header.StudyDate,
            study_time=header.StudyTime,
            study_id=header.StudyID,
            accession_number=header.AccessionNumber,
            referring_physician_name=header.ReferringPhysicianName,
            specific_character_set=header.SpecificCharacterSet,
            series_description=DESCRIPTION,
            **equipment(analysis.report, "DOC"),
        )
        made.copy_patient_and_study_information(header)
    _encapsulate(report_pdf(analysis, _identity(header)), made)
    made.SourceInstanceSequence = [_reference(one) for one in analysis.source.instances()]
    return made


def _encapsulate(pdf: bytes, made: Dataset) -> None:
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.AcquisitionDateTime = None
    made.DocumentTitle = DESCRIPTION
    made.ConceptNameCodeSequence = [code_item(CT_CHEST)]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _identity(header: Dataset) -> str:
    """Name the patient by number: a name may need letters that no font of ours has."""
    parts = {
        "Patient": header.PatientID,
        "study of": header.StudyDate,
        "accession number": header.AccessionNumber,
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value)
