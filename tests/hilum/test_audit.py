import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.audit import (
    GENESIS,
    Action,
    Entry,
    Head,
    Record,
    canonical,
    plain,
    read_lines,
    verify,
)
from hilum.errors import InvalidRequest

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HOSPITAL = UUID(int=7)

Damage = Callable[[list[Record]], list[Record]]


def chain(count: int) -> list[Record]:
    records: list[Record] = []
    for number in range(1, count + 1):
        entry = Entry("m.curie", Action.CASE_VIEWED, HOSPITAL, f"job-{number}")
        previous = records[-1].sha256 if records else GENESIS
        records.append(Record.seal(number, AT, entry, previous))
    return records


def reseal(records: list[Record], at: int, entry: Entry) -> list[Record]:
    """Change an entry and give it a hash that fits it."""
    old = records[at]
    new = Record.seal(old.id, old.at, entry, old.previous_sha256)
    return [*records[:at], new, *records[at + 1 :]]


def lines(records: list[Record]) -> list[str]:
    return [canonical(record.to_json()) for record in records]


def test_hash_is_that_of_the_sorted_line_without_it() -> None:
    record = chain(1)[0]

    document = json.loads(lines([record])[0])
    claimed = document.pop("sha256")
    by_hand = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert claimed == hashlib.sha256(by_hand).hexdigest()
    assert document["previous_sha256"] == "0" * 64
    assert document["at"] == "2026-01-02T03:04:05.000678+00:00"


def test_hash_does_not_depend_on_the_zone_that_a_time_is_told_in() -> None:
    record = chain(1)[0]

    elsewhere = replace(record, at=AT.astimezone(timezone(timedelta(hours=5))))

    assert verify([elsewhere]).is_whole


def test_log_as_it_was_written_is_whole() -> None:
    records = chain(5)

    found = verify(records)

    assert (found.is_whole, found.count, found.head) == (True, 5, Head(5, records[-1].sha256))


def test_empty_log_is_whole_and_has_a_head() -> None:
    assert verify([]).head == Head(0, GENESIS)


@pytest.mark.parametrize(
    ("damage", "place", "reason"),
    [
        (lambda log: [log[0], replace(log[1], at=log[1].at + timedelta(1)), *log[2:]], 2, "is not"),
        (lambda log: reseal(log, 1, Entry("somebody", Action.PURGED)), 3, "does not follow"),
        (lambda log: [log[0], *log[2:]], 3, "comes after entry 1, expected entry 2"),
        (lambda log: log[1:], 2, "comes after entry 0, expected entry 1"),
        (lambda log: [log[0], log[2], log[1], *log[3:]], 3, "comes after entry 1"),
        (lambda log: [log[0], log[1], log[1], *log[2:]], 2, "comes after entry 2"),
        (lambda log: [log[0], replace(log[2], id=2), replace(log[1], id=3), log[3]], 2, "follow"),
        (lambda log: [*log[:3], replace(log[3], sha256=GENESIS)], 4, "is not what was written"),
    ],
    ids=["changed", "resealed", "removed", "beheaded", "swapped", "doubled", "renumbered", "hash"],
)
def test_change_is_found_at_its_place(damage: Damage, place: int, reason: str) -> None:
    found = verify(damage(chain(4)))

    assert found.broken is not None
    assert found.broken.id == place
    assert reason in found.broken.reason


def test_end_that_was_cut_off_shows_only_against_what_was_kept_elsewhere() -> None:
    records = chain(4)
    kept = Head(4, records[3].sha256)

    cut = verify(records[:3], kept=kept)

    assert verify(records[:3]).is_whole
    assert cut.broken is not None
    assert cut.broken.reason == "The log ends after entry 3, expected 4 or more."


def test_log_that_grew_since_its_head_was_kept_is_whole() -> None:
    records = chain(6)

    assert verify(records, kept=Head(4, records[3].sha256)).is_whole


def test_log_written_anew_from_the_start_is_not_the_one_whose_head_was_kept() -> None:
    kept = Head(3, chain(3)[2].sha256)
    forged = [Record.seal(1, AT, Entry("nobody", Action.SIGNED_IN), GENESIS)]
    for number in (2, 3):
        forged.append(Record.seal(number, AT, forged[0].entry, forged[-1].sha256))

    found = verify(forged, kept=kept)

    assert verify(forged).is_whole
    assert found.broken is not None
    assert found.broken.reason == "Entry 3 is not the one whose hash was kept elsewhere."


def test_part_of_a_log_is_looked_at_entry_by_entry() -> None:
    records = chain(6)
    part = [records[1], records[2], records[5]]

    assert verify(part, is_part=True).is_whole
    assert not verify(part).is_whole
    assert not verify([part[0], replace(part[1], at=AT + timedelta(1))], is_part=True).is_whole
    assert not verify(part[::-1], is_part=True).is_whole


def test_export_is_read_back_as_it_was() -> None:
    records = chain(3)

    assert list(read_lines(lines(records))) == records


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "[" * 100_000,
        lines(chain(1))[0].replace('"by":"m.curie",', ""),
        lines(chain(1))[0].replace('"by":', '"more":1,"by":'),
        lines(chain(1))[0].replace("2026-01-02", "2026-13-02"),
        lines(chain(1))[0].replace('"id":1', '"id":[1]'),
        lines(chain(1))[0].replace('"at":"', '"at":7,"x":"'),
    ],
)
def test_line_that_is_none_is_named_by_its_number(line: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Line 2 is no entry of an audit log\."):
        list(read_lines([lines(chain(1))[0], line]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_whatever_is_said_is_written_in_one_way(detail: dict[str, Any]) -> None:
    said = plain(detail)

    line = canonical(said)

    assert plain(said) == said
    assert "\0" not in line
    assert canonical(json.loads(line)) == line


def test_fraction_is_kept_as_text_and_a_long_text_cut() -> None:
    said = plain({"share": 0.1, "name": "x" * 5000, "ids": (HOSPITAL,), "lone": "\ud800\0"})

    assert said == {"share": "0.1", "name": "x" * 1000, "ids": [str(HOSPITAL)], "lone": "?\ufffd"}


def test_every_action_says_to_what_it_is_done() -> None:
    assert all(action.count(".") == 1 and action == action.lower() for action in Action)
