import io
import json
from copy import deepcopy
from datetime import datetime, timedelta

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    generate_uid,
)

from hilum.dicom.deidentify import Deed, Deidentifier, Option
from hilum.dicom.deidentify.deidentifier import encoded
from hilum.dicom.quiet import quiet
from hilum.errors import InvalidRequest, NotDeidentifiable
from tests.hilum.dicom.deidentify.planted import (
    KEY,
    NAME,
    WORDS,
    left_of,
    named,
    raw,
    small,
    treated,
)

BASIC: frozenset[Option] = frozenset()


def cleaned(dataset: Dataset, *options: Option, key: bytes = KEY) -> Dataset:
    return Deidentifier(key, frozenset(options)).deidentify(dataset)[0]


def shifted(dataset: Dataset) -> Dataset:
    return cleaned(dataset, Option.RETAIN_MODIFIED_DATES)


def days_between(earlier: str, later: str) -> timedelta:
    return datetime.strptime(later, "%Y%m%d") - datetime.strptime(earlier, "%Y%m%d")  # noqa: DTZ007 - a DA has no zone


# ── What is said of the result ────────────────────────────────────────────────────────────────


def test_it_says_what_was_done_to_it() -> None:
    dataset = cleaned(named(), Option.RETAIN_MODIFIED_DATES, Option.RETAIN_DEVICE)

    codes = [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113109", "113107"]
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.DeidentificationMethod == "Hilum, Basic Profile of PS3.15 2026d"
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"


def test_it_says_what_became_of_the_dates() -> None:
    assert cleaned(named()).LongitudinalTemporalInformationModified == "REMOVED"
    full = cleaned(named(), Option.RETAIN_FULL_DATES)
    assert full.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_the_account_has_tags_and_numbers_and_no_value() -> None:
    dataset = small()
    dataset.add_new(0x00091001, "LO", NAME)

    _, account = Deidentifier(KEY).deidentify(dataset)

    said = account.to_json()
    deeds = {(one["tag"], one["keyword"]): one["deed"] for one in said["changes"]}
    assert deeds["(0010,0010)", "PatientName"] == "replaced"
    assert deeds["(0010,0030)", "PatientBirthDate"] == "emptied"
    assert deeds["(0008,0018)", "SOPInstanceUID"] == "remapped"
    assert deeds["(0008,0020)", "StudyDate"] == "shifted"
    assert deeds["(0009,1001)", ""] == "removed"
    assert said["counts"]["shifted"] == account.counts[Deed.SHIFTED] == 4
    assert left_of(WORDS, json.dumps(said).encode()) == []


def test_the_dataset_that_was_given_stays_as_it_was() -> None:
    dataset = named()
    before = deepcopy(dataset)

    shifted(dataset)

    assert dataset == before


def test_dates_cannot_be_kept_both_ways() -> None:
    with pytest.raises(InvalidRequest, match="expected one of the two"):
        Deidentifier(KEY, frozenset({Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES}))


# ── Patients, UIDs, dates ─────────────────────────────────────────────────────────────────────


def test_the_same_patient_is_called_the_same_in_every_object() -> None:
    first, second = shifted(named(0)), shifted(named(1))

    assert first.PatientID == first.PatientName == second.PatientID
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_uids_point_where_they_pointed() -> None:
    first, second = named(0), named(1)
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    source = Dataset()
    source.CTExposureSequence = Sequence([reference])
    second.SharedFunctionalGroupsSequence = Sequence([source])

    item = shifted(second).SharedFunctionalGroupsSequence[0].CTExposureSequence[0]

    assert item.ReferencedSOPInstanceUID == shifted(first).SOPInstanceUID
    assert item.ReferencedSOPClassUID == CTImageStorage


def test_the_file_meta_names_the_object_and_nobody_who_sent_it() -> None:
    dataset = named()
    dataset.file_meta.SourceApplicationEntityTitle = "OKONKWO"
    dataset.file_meta.PrivateInformationCreatorUID = generate_uid()
    dataset.file_meta.PrivateInformation = NAME.encode()

    data = treated(dataset)

    meta = dcmread(io.BytesIO(data)).file_meta
    assert meta.MediaStorageSOPInstanceUID == dcmread(io.BytesIO(data)).SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in meta
    assert data[:128] == bytes(128)
    assert left_of(WORDS, data) == []


def test_intervals_stay_and_days_do_not() -> None:
    first, second = named(0), named(1)
    second.StudyDate = "20200415"
    second.AcquisitionDateTime = "20200415120000.5+0100"

    one, other = shifted(first), shifted(second)

    assert days_between(one.StudyDate, other.StudyDate).days == 14
    assert days_between(one.StudyDate, "20200401").days in range(1, 3651)
    assert other.AcquisitionDateTime == f"{other.StudyDate}120000.5+0100"
    assert one.StudyTime == "080000"
    assert one.PatientBirthDate is None


def test_without_an_option_dates_go_as_far_as_the_object_can_do_without() -> None:
    dataset = cleaned(named())

    assert "SeriesDate" not in dataset
    assert dataset.ContentDate is None
    assert "PatientAge" not in dataset


def test_full_dates_stay_what_they_are_and_what_is_none_goes() -> None:
    dataset = named()
    dataset.add(raw(0x00080021, "DA", b"Okonkwo "))
    dataset.add(raw(0x00080031, "TM", b"noon"))

    full = cleaned(dataset, Option.RETAIN_FULL_DATES)

    assert full.StudyDate == "20200401"
    assert not full.SeriesDate
    assert not full.SeriesTime


@pytest.mark.parametrize(
    ("option", "keywords"),
    [
        (Option.RETAIN_PATIENT, ["PatientSex", "PatientAge", "PatientWeight"]),
        (Option.RETAIN_INSTITUTION, ["InstitutionName"]),
        (Option.RETAIN_DEVICE, ["DeviceSerialNumber"]),
        (Option.RETAIN_UIDS, ["SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"]),
    ],
)
def test_an_option_keeps_what_it_names_and_nothing_of_it_stays_without(
    option: Option, keywords: list[str]
) -> None:
    dataset = named()

    kept, gone = cleaned(dataset, option), cleaned(dataset)

    for keyword in keywords:
        assert kept[keyword].value == dataset[keyword].value
        assert gone.get(keyword) != dataset[keyword].value


def test_a_uid_that_is_none_is_replaced_even_where_uids_are_retained() -> None:
    dataset = named()
    dataset.add(raw(0x0020000D, "UI", b"../../okonkwo"))

    kept = cleaned(dataset, Option.RETAIN_UIDS)

    assert str(kept.StudyInstanceUID).startswith("2.25.")


def test_descriptions_go_or_keep_their_plain_words() -> None:
    dataset = named()
    dataset.SeriesDescription = "Thorax 1.0 B70f Okonkwo"
    dataset.ProtocolName = "Dr. Percival's own"

    described = cleaned(dataset, Option.CLEAN_DESCRIPTORS)

    assert described.SeriesDescription == "Thorax 1.0 B70f"
    assert "ProtocolName" not in described
    assert "SeriesDescription" not in cleaned(dataset)


# ── What is refused ───────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_written_is_refused_without_quoting_it() -> None:
    dataset, _ = Deidentifier(KEY).deidentify(small())
    with quiet():
        dataset.add_new(0x00280010, "US", NAME)

    with pytest.raises(NotDeidentifiable) as caught:
        encoded(dataset)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_object_without_its_uids_is_refused() -> None:
    dataset = small()
    del dataset.StudyInstanceUID

    with pytest.raises(NotDeidentifiable, match="no StudyInstanceUID"):
        Deidentifier(KEY).deidentify(dataset)


def test_an_object_made_in_memory_needs_no_file_meta() -> None:
    dataset = small()
    del dataset.file_meta

    assert dcmread(io.BytesIO(treated(dataset))).PixelData == dataset.PixelData


def test_an_object_in_no_known_transfer_syntax_is_refused() -> None:
    dataset = small()
    dataset.file_meta.TransferSyntaxUID = UID("1.2.3.4")

    with pytest.raises(NotDeidentifiable, match="no transfer syntax"):
        Deidentifier(KEY).deidentify(dataset)
