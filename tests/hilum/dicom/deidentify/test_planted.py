"""Whatever is planted where a text can be, nothing of it is left, and nothing breaks."""

import io
import traceback
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.deidentify import Deidentifier, Option, deidentify_file
from hilum.dicom.deidentify.deidentifier import encoded
from hilum.dicom.deidentify.values import SAFE_TEXTS
from hilum.dicom.quiet import quiet
from hilum.errors import HilumError
from tests.hilum.dicom.deidentify.planted import KEY, as_file, left_of, raw, small, treated

PEOPLE = ("Okonkwo", "Müller-Lüdenscheid", "Wójcik", "Ямпольский", "山田太郎", "MRN-0093321-X")
"""Names and an ID that are planted; none is like a word of the standard."""

STRANGER = "Quackenbush"
"""A name that no attribute for names gives away."""

TEXTUAL = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC"}
TEXTUAL |= {"UI", "UN", "UR", "UT", "OB"}

LAST_GROUP = 0x5000
"""Behind it lie curves, overlays and pixels, which have tests of their own."""

PLACES = [
    (tag, entry[0])
    for tag, entry in DicomDictionary.items()
    if entry[0] in TEXTUAL
    and 0x0008 <= tag >> 16 < LAST_GROUP
    # What an object is decides whether it is taken at all.
    and entry[4] not in {"SOPClassUID", "SpecificCharacterSet"}
]
SEQUENCES = [
    tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ" and tag >> 16 < LAST_GROUP
]

FREE = [
    (tag, vr)
    for tag, vr in PLACES
    if vr not in {"CS", "UI"} and keyword_for_tag(tag) not in SAFE_TEXTS
]
"""Where a name goes that nothing gives away: all texts but terms and what scanners write."""

WRITTEN = st.sampled_from(
    [str, str.upper, str.lower, lambda name: f"seen {name} today", lambda name: f"({name})"]
)
"""Ways to write a name."""

PRIVATE = st.tuples(
    st.integers(0x0004, 0x2FFF).map(lambda half: (2 * half + 1) << 16 | 0x1001),
    st.sampled_from(sorted(TEXTUAL)),
)
PATHS = st.lists(st.sampled_from(SEQUENCES), max_size=3)
ALPHABETS = st.sampled_from([("ISO_IR 192", "utf-8"), ("ISO_IR 100", "latin-1"), ("", "utf-8")])


def plant(dataset: Dataset, path: list[int], place: tuple[int, str], data: bytes) -> None:
    """Put bytes where a text belongs, under the sequences of a path."""
    for tag in path:
        item = Dataset()
        if tag not in dataset:
            dataset.add_new(tag, "SQ", Sequence([item]))
        dataset = dataset[tag].value[0]
    dataset.add(raw(*place, data))


def named_after(people: list[str], alphabet: tuple[str, str]) -> Dataset:
    """Return an object whose patient bears these names."""
    dataset = small()
    name, encoding = alphabet
    dataset.SpecificCharacterSet = name
    dataset.add(raw(0x00100010, "PN", "^".join(people).encode(encoding, "ignore")))
    dataset.PatientID = PEOPLE[-1]
    return dataset


SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(
    alphabet=ALPHABETS,
    plants=st.lists(
        st.tuples(PATHS, st.sampled_from(PLACES) | PRIVATE, st.sampled_from(PEOPLE), WRITTEN),
        min_size=1,
        max_size=12,
    ),
    options=st.sets(st.sampled_from(sorted(set(Option) - {Option.RETAIN_FULL_DATES}))),
)
def test_no_name_that_the_object_gives_away_is_left_anywhere(
    alphabet: tuple[str, str], plants: list[Any], options: set[Option]
) -> None:
    dataset = named_after(list(PEOPLE[:-1]), alphabet)
    for path, place, name, write in plants:
        plant(dataset, path, place, write(name).encode(alphabet[1], "ignore"))

    assert_clean(dataset, PEOPLE, frozenset(options))


@SOME
@given(
    plants=st.lists(st.tuples(PATHS, st.sampled_from(FREE) | PRIVATE, WRITTEN), min_size=1),
    options=st.sets(st.sampled_from([Option.CLEAN_DESCRIPTORS, Option.RETAIN_MODIFIED_DATES])),
)
def test_no_name_is_left_in_a_free_text_though_nothing_gives_it_away(
    plants: list[Any], options: set[Option]
) -> None:
    dataset = small()
    for path, place, write in plants:
        plant(dataset, path, place, write(STRANGER).encode())
    # The names of people give themselves away; this is about the texts that nobody expects.
    dataset.PatientName = dataset.PatientID = "X"

    assert_clean(dataset, (STRANGER,), frozenset(options))


def assert_clean(dataset: Dataset, words: tuple[str, ...], options: frozenset[Option]) -> None:
    """Make sure that none of these words is left, in the object or in a refusal of it."""
    try:
        received = dcmread(io.BytesIO(as_file(dataset)), force=True)
    except (TypeError, ValueError):
        # Some bytes are none that even the writer of this test can bring into a file.
        reject()
    refusal = ""
    try:
        cleaned, account = Deidentifier(KEY, options).deidentify(received)
        data = encoded(cleaned)
    except HilumError as error:
        refusal = "".join(traceback.format_exception(error))
    else:
        assert left_of(words, data + str(account.to_json()).encode()) == []
        assert dcmread(io.BytesIO(data)).PixelData == dataset.PixelData
    assert left_of(words, refusal.encode()) == []


@SOME
@given(
    uids=st.lists(st.from_regex(r"[12](\.(0|[1-9][0-9]{0,5})){3,8}", fullmatch=True), min_size=2)
)
def test_uids_map_one_to_one_wherever_they_stand(uids: list[str]) -> None:
    dataset = small()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uids[0]
    items = [Dataset() for _ in uids]
    for item, uid in zip(items, uids, strict=True):
        item.ReferencedSOPInstanceUID = uid
    dataset.ReferencedRealWorldValueMappingInstanceSequence = Sequence(items)
    dataset.IrradiationEventUID = uids

    cleaned, _ = Deidentifier(KEY).deidentify(dataset)

    new = [
        item.ReferencedSOPInstanceUID
        for item in cleaned.ReferencedRealWorldValueMappingInstanceSequence
    ]
    assert new == list(cleaned.IrradiationEventUID)
    assert new[0] == cleaned.SOPInstanceUID == cleaned.file_meta.MediaStorageSOPInstanceUID
    assert len(set(new)) == len(set(uids))
    assert not set(new) & set(uids)


@SOME
@given(name=st.text(min_size=1, max_size=30), key=st.binary(min_size=32, max_size=64))
def test_the_same_key_gives_the_same_bytes_and_another_key_others(name: str, key: bytes) -> None:
    dataset = small()
    dataset.add(raw(0x00100020, "LO", name.encode()))

    once = treated(dataset, Deidentifier(key))

    assert treated(dataset, Deidentifier(key)) == once
    assert treated(dataset, Deidentifier(key + b"x")) != once


@SOME
@given(cuts=st.lists(st.tuples(st.integers(132, 1500), st.binary(max_size=6)), max_size=6))
def test_a_damaged_file_is_treated_or_refused(
    cuts: list[tuple[int, bytes]], tmp_path_factory: Any
) -> None:
    data = bytearray(as_file(small()))
    for place, junk in cuts:
        data[place : place + len(junk)] = junk
    path: Path = tmp_path_factory.getbasetemp() / "damaged.dcm"
    path.write_bytes(data)

    try:
        written = deidentify_file(path, Deidentifier(KEY))
    except HilumError:
        return
    with quiet():
        assert dcmread(io.BytesIO(written.data)).PatientIdentityRemoved == "YES"
