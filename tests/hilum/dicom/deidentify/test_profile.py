import csv
from collections import Counter

import pytest
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.sr.codedict import codes

from hilum.dicom.deidentify.profile import (
    BASIC_CODE,
    CODES,
    TABLE,
    Action,
    Need,
    Option,
    rule_of,
)

ROWS = list(csv.DictReader(TABLE.read_text().splitlines()))


def action(keyword: str, *options: Option, need: Need = Need.NOTHING) -> Action:
    rule = rule_of(tag_for_keyword(keyword) or 0)
    assert rule is not None
    return rule.action(frozenset(options), need)


def test_the_table_has_every_row_of_the_standard_once() -> None:
    # PS3.15 2026d, Table E.1-1.
    assert len(ROWS) == len({row["tag"] for row in ROWS}) == 657
    assert Counter(row["basic"] for row in ROWS) == {
        "X": 417, "D": 93, "U": 55, "Z": 42, "X/D": 23, "X/Z": 11, "X/Z/D": 8, "Z/D": 6,
        "X/Z/U*": 2,
    }  # fmt: skip


def test_the_options_of_the_table_keep_or_clean() -> None:
    cells = {row[column] for row in ROWS for column in list(row)[3:]}

    assert cells == {"", "K", "C"}


def test_keywords_are_those_of_the_dictionary() -> None:
    for row in ROWS:
        if row["tag"].isalnum() and "x" not in row["tag"] and row["tag"] != "private":
            assert keyword_for_tag(int(row["tag"], 16)) in {row["keyword"], ""}, row["tag"]


def test_every_option_has_its_code_in_the_standards_words() -> None:
    listed = {codes.DCM.__getattr__(name) for name in codes.cid7050.dir()}

    ours = {BASIC_CODE, *CODES.values()}
    assert ours <= {(code.value, code.meaning) for code in listed}
    assert set(CODES) == set(Option)


@pytest.mark.parametrize("tag", [0x00091001, 0x50000010, 0x60003000, 0x60000010, 0x60220022])
def test_private_attributes_curves_and_overlays_go_whole(tag: int) -> None:
    rule = rule_of(tag)

    assert rule is not None
    assert rule.action(frozenset(Option), Need.VALUE) is Action.REMOVE


@pytest.mark.parametrize(
    ("keyword", "need", "expected"),
    [
        ("SeriesDate", Need.NOTHING, Action.REMOVE),  # X/D
        ("SeriesDate", Need.VALUE, Action.REPLACE),
        ("AcquisitionDate", Need.NOTHING, Action.REMOVE),  # X/Z
        ("AcquisitionDate", Need.PRESENCE, Action.EMPTY),
        ("DeviceSerialNumber", Need.NOTHING, Action.REMOVE),  # X/Z/D
        ("DeviceSerialNumber", Need.PRESENCE, Action.EMPTY),
        ("DeviceSerialNumber", Need.VALUE, Action.REPLACE),
        ("ContentDate", Need.PRESENCE, Action.EMPTY),  # Z/D
        ("ContentDate", Need.VALUE, Action.REPLACE),
        ("SourceImageSequence", Need.NOTHING, Action.REMOVE),  # X/Z/U*
        ("SourceImageSequence", Need.VALUE, Action.REMAP),
        ("PatientComments", Need.VALUE, Action.REMOVE),  # X
        ("SOPInstanceUID", Need.NOTHING, Action.REMAP),  # U
    ],
)
def test_conditional_actions_follow_what_the_object_needs(
    keyword: str, need: Need, expected: Action
) -> None:
    assert action(keyword, need=need) is expected


def test_options_do_what_their_column_says() -> None:
    assert action("SOPInstanceUID", Option.RETAIN_UIDS) is Action.KEEP
    assert action("DeviceSerialNumber", Option.RETAIN_DEVICE) is Action.KEEP
    assert action("InstitutionName", Option.RETAIN_INSTITUTION) is Action.KEEP
    assert action("PatientAge", Option.RETAIN_PATIENT) is Action.KEEP
    assert action("StudyDate", Option.RETAIN_FULL_DATES) is Action.KEEP
    assert action("StudyDate", Option.RETAIN_MODIFIED_DATES) is Action.CLEAN
    assert action("SeriesDescription", Option.CLEAN_DESCRIPTORS) is Action.CLEAN
    assert action("PatientBirthDate", *Option) is Action.EMPTY
    assert action("PatientName", *Option) is Action.EMPTY


def test_of_two_options_the_one_that_cleans_goes_before_the_one_that_keeps() -> None:
    both = Option.RETAIN_DEVICE, Option.RETAIN_MODIFIED_DATES

    assert action("DateOfLastCalibration", *both) is Action.CLEAN
