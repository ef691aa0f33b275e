import io
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pypdf import PdfReader

from hilum.dicom.document import document
from hilum.phantom import Phantom
from tests.analyses import analysis_of
from tests.hilum.dicom.results import analysis_in, errors_of
from tests.phantoms import chest, healthy, setting, write


def text_of(made: Dataset) -> str:
    pdf = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_the_paper_says_what_the_report_says() -> None:
    analysis = analysis_of(chest())

    text = text_of(document(analysis))

    report = analysis.report
    assert f"Mild · CT-1 · {report.total.share:.1%} of the lungs" in text
    assert "not for diagnosis" in text
    assert f"{report.right.lesion_ml:.1f}" in text
    assert f"1. {report.findings[0].label}, {report.findings[0].lung}" in text
    assert report.network.sha256[:16] in text
    assert chest().datasets()[0].PatientID in text


def test_the_paper_has_the_montage_and_fits_a_page() -> None:
    made = document(analysis_of(chest()))

    [page] = PdfReader(io.BytesIO(made.EncapsulatedDocument)).pages
    assert page.images[0].image is not None
    assert page.images[0].image.size[0] > 1000


def test_what_a_header_says_is_no_markup(tmp_path: Path) -> None:
    slices = setting(chest().datasets(), None, PatientID="<b>7 & 8", AccessionNumber="</para>")

    text = text_of(document(analysis_in(write(tmp_path, slices), chest())))

    assert "Patient <b>7 & 8" in text
    assert "accession number </para>" in text


@pytest.mark.parametrize("phantom", [chest(), healthy()], ids=["ill", "healthy"])
def test_the_validator_holds_nothing_against_it(phantom: Phantom, tmp_path: Path) -> None:
    assert errors_of(document(analysis_of(phantom)), tmp_path) == []
