import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from hilum.dicom.deidentify.kinds import KINDS, kind_of
from hilum.dicom.deidentify.profile import Need
from hilum.errors import BurnedInText, NotDeidentifiable
from tests.hilum.dicom.deidentify.planted import small


@pytest.mark.parametrize(
    "sop_class",
    [
        ComprehensiveSRStorage,
        EncapsulatedPDFStorage,
        SecondaryCaptureImageStorage,
        UltrasoundImageStorage,
    ],
    ids=lambda uid: uid.name,
)
def test_what_people_write_draw_or_capture_is_refused_by_name(sop_class: UID) -> None:
    dataset = small()
    dataset.SOPClassUID = sop_class

    with pytest.raises(NotDeidentifiable, match=f"An object of {sop_class.name}"):
        kind_of(dataset)


def test_an_unknown_kind_is_refused_without_its_uid() -> None:
    dataset = small()
    dataset.SOPClassUID = "1.2.3.19541203"

    with pytest.raises(NotDeidentifiable, match="An object of unknown kind"):
        kind_of(dataset)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation"),
        ({"BurnedInAnnotation": "MAYBE"}, "BurnedInAnnotation"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "SCREEN SAVE"),
        ({"ConversionType": "WSD"}, "ConversionType"),
    ],
)
def test_pixels_that_may_name_the_patient_are_refused(
    values: dict[str, object], match: str
) -> None:
    dataset = small()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)

    with pytest.raises(BurnedInText, match=match):
        kind_of(dataset)


def test_an_overlay_within_the_pixels_is_refused_and_one_beside_them_is_not() -> None:
    within, beside = small(), small()
    for dataset in (within, beside):
        dataset.add_new(0x60000100, "US", 16)
    beside.add_new(0x60003000, "OW", bytes(2))

    with pytest.raises(BurnedInText, match="within the pixels"):
        kind_of(within)
    assert kind_of(beside)


def test_pixels_said_to_be_free_of_text_are_taken() -> None:
    dataset = small()
    dataset.BurnedInAnnotation = "NO"

    assert kind_of(dataset)


def test_an_enhanced_ct_needs_the_value_of_what_a_classic_one_may_leave_empty() -> None:
    enhanced = Dataset()
    enhanced.SOPClassUID = EnhancedCTImageStorage

    assert kind_of(enhanced).need("ContentDate") is Need.VALUE
    assert kind_of(small()).need("ContentDate") is Need.PRESENCE
    assert kind_of(small()).need("SeriesDate") is Need.NOTHING


def test_every_kind_is_an_object_that_the_standard_knows() -> None:
    assert all(uid.name != str(uid) for uid in KINDS)
