"""Results of studies whose headers are odd: a job that found its lesions must not end there."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from hilum.catalogue import RESULTS
from hilum.dicom.quiet import quiet
from hilum.dicom.results import result_objects
from tests.enhanced import enhanced
from tests.hilum.dicom.results import analysis_in, errors_of
from tests.phantoms import chest, setting, without, write

Slices = list[Dataset]


def said(**values: object) -> Callable[[Slices], Slices]:
    return lambda slices: setting(slices, None, **values)


def wobbling(slices: Slices) -> Slices:
    """Round the cosines of each slice a little differently."""
    for number, dataset in enumerate(slices):
        dataset.ImageOrientationPatient = [1, 1e-5 * number, 0, -1e-5 * number, 1, 0]
    return slices


VALID: dict[str, Callable[[Slices], Slices]] = {
    "nothing known of the patient": said(
        **dict.fromkeys(
            ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID"),
            "",
        )
    ),
    "no patient module": lambda slices: without(
        slices, "PatientName", "PatientID", "PatientBirthDate", "PatientSex"
    ),
    "no slice thickness": lambda slices: without(slices, "SliceThickness"),
    "an empty slice thickness": said(SliceThickness=None),
    "a sex that is none of DICOM's": said(PatientSex="X"),
    "two sexes": said(PatientSex=["M", "F"]),
    "a day of birth that is unknown": said(PatientBirthDate="19500100"),
    "a range of dates": said(StudyDate="20200101-20200201", StudyTime="100000-120000"),
    "two names": said(PatientName=["A^B", "C"]),
    "two patient numbers": said(PatientID=["7", "8"]),
    "no frame of reference": said(FrameOfReferenceUID=None),
    "two frames of reference": said(FrameOfReferenceUID=["1.2", "1.3"]),
    "cosines that wobble": wobbling,
    "another kind of object in between": lambda slices: setting(
        slices, [7], SOPClassUID=SecondaryCaptureImageStorage
    ),
    "an enhanced instance": lambda slices: [enhanced(slices)],
    "enhanced instances without a thickness": lambda slices: [
        enhanced(said(SliceThickness=None)(slices[:9])),
        enhanced(said(SliceThickness=None)(slices[9:])),
    ],
    "a name in another alphabet": said(
        SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen"
    ),
}
"""What results of are as the standard has them."""

AS_SENT: dict[str, Callable[[Slices], Slices]] = {
    "a patient number that is too long": said(PatientID="7" * 70),
    "an accession number that is too long": said(AccessionNumber="A" * 20),
    "UIDs with leading zeros": said(StudyInstanceUID="1.2.03", SeriesInstanceUID="1.2.04"),
}
"""What goes on as it came: left out or mended, it would name another patient or study."""


def results(folder: Path, change: Callable[[Slices], Slices]) -> dict[str, Dataset]:
    with quiet():
        files = write(folder, change(chest().datasets()))
    # Not quiet: what results are made of must not warn, since warnings quote it.
    found = list(result_objects(analysis_in(files, chest())))
    with quiet():
        return {kind: dcmread(io.BytesIO(data)) for kind, data in found}


@pytest.mark.parametrize("odd", VALID)
def test_odd_headers_make_valid_results(odd: str, tmp_path: Path) -> None:
    made = results(tmp_path / "ct", VALID[odd])

    assert tuple(made) == RESULTS
    for one in made.values():
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        assert errors_of(one, tmp_path) == []


@pytest.mark.parametrize("odd", AS_SENT)
def test_identifiers_go_on_as_they_came(odd: str, tmp_path: Path) -> None:
    with quiet():
        [sent, *_] = AS_SENT[odd](chest().datasets())

        for one in results(tmp_path, AS_SENT[odd]).values():
            for keyword in ("PatientID", "AccessionNumber", "StudyInstanceUID"):
                assert str(one[keyword].value or "") == str(sent[keyword].value or "")


def test_a_name_keeps_its_letters(tmp_path: Path) -> None:
    for one in results(tmp_path, VALID["a name in another alphabet"]).values():
        assert str(one.PatientName) == "Müller^Jürgen"


def test_slices_without_a_frame_of_reference_get_the_same_one_every_time(tmp_path: Path) -> None:
    first, second = (
        results(tmp_path / name, VALID["no frame of reference"])["segmentation"] for name in "ab"
    )

    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_names_burned_into_a_slice_are_told_of_with_its_picture(tmp_path: Path) -> None:
    made = results(tmp_path, said(BurnedInAnnotation="YES"))

    assert made["key-image"].BurnedInAnnotation == "YES"


def test_the_paper_names_the_slices_it_comes_from(tmp_path: Path) -> None:
    made = results(tmp_path, lambda slices: slices)["document"]

    named = {one.ReferencedSOPInstanceUID for one in made.SourceInstanceSequence}
    assert named == {one.SOPInstanceUID for one in chest().datasets()}
