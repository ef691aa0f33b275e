# SPDX-License-Identifier: Apache-2.0
"""The Basic Application Level Confidentiality Profile and its options, as the table they are.

Source: PS3.15 2026d, Table E.1-1, in `profile.csv`; docs/deidentification.md tells its way here.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

EDITION: Final = "2026d"
"""Of the standard that the table was taken from."""

TABLE: Final = Path(__file__).with_name("profile.csv")
"""One row an attribute; an option's column says what that option does instead of the profile."""

CURVES: Final = range(0x5000, 0x5100)
"""Groups of retired curves: the table removes all of each."""

OVERLAYS: Final = range(0x6000, 0x6100)
"""Groups of overlays: the table removes their data, and the rest of each is of no use without."""


class Option(StrEnum):
    """What may be asked for beside the profile, by its column in the table (PS3.15 E.3)."""

    RETAIN_UIDS = "retain_uids"
    RETAIN_DEVICE = "retain_device"
    RETAIN_INSTITUTION = "retain_institution"
    RETAIN_PATIENT = "retain_patient"
    RETAIN_FULL_DATES = "retain_full_dates"
    RETAIN_MODIFIED_DATES = "retain_modified_dates"
    CLEAN_DESCRIPTORS = "clean_descriptors"


BASIC_CODE: Final = ("113100", "Basic Application Confidentiality Profile")
"""Of the profile itself, PS3.16 CID 7050."""

CODES: Final[Mapping[Option, tuple[str, str]]] = {
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_FULL_DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    Option.RETAIN_MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    Option.RETAIN_PATIENT: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_INSTITUTION: ("113112", "Retain Institution Identity Option"),
}
"""Value and meaning of each option's code, PS3.16 CID 7050."""


class Action(StrEnum):
    """What the table does to an attribute (PS3.15 E.1.1, Table E.1-1a)."""

    KEEP = "K"
    CLEAN = "C"
    REMOVE = "X"
    EMPTY = "Z"
    REPLACE = "D"
    REMAP = "U"


class Need(StrEnum):
    """How much of an attribute its object cannot be without (PS3.5 7.4)."""

    VALUE = "1"
    PRESENCE = "2"
    NOTHING = "3"


_ORDER: Final[Mapping[Need, str]] = {Need.VALUE: "DUZX", Need.PRESENCE: "ZDUX"}
"""Which of several actions meets a need, best first; without a need the table's first does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table.

    Attributes:
        basic: the profile's action, or several with strokes between: the strictest comes first, and
            the others are for objects that need more of the attribute.
        options: what each option does instead.
    """

    basic: str
    options: Mapping[Option, Action]

    def action(self, chosen: frozenset[Option], need: Need) -> Action:
        """Return what is done under these options to an attribute so needed."""
        said = {action for option, action in self.options.items() if option in chosen}
        # Of two options that disagree the stricter one counts: a date that the device may keep
        # would betray by how much its neighbours were shifted.
        for action in (Action.CLEAN, Action.KEEP):
            if action in said:
                return action
        return self.without_options(need)

    def without_options(self, need: Need) -> Action:
        """Return what the profile alone does to an attribute so needed."""
        actions = self.basic.rstrip("*").split("/")
        order = _ORDER.get(need, actions)
        return Action(next(action for action in order if action in actions))


REMOVED: Final = Rule(Action.REMOVE.value, {})
"""Of private attributes, curves and overlays, whatever the options."""


def rule_of(tag: int) -> Rule | None:
    """Return the row of an attribute; None where the table does not name it."""
    group = tag >> 16
    if group % 2 or group in CURVES or group in OVERLAYS:
        return REMOVED
    return _rules().get(tag)


@cache
def _rules() -> Mapping[int, Rule]:
    with TABLE.open(encoding="ascii", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if _is_one_tag(row["tag"])]
    return {int(row["tag"], 16): _rule(row) for row in rows}


def _is_one_tag(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)


def _rule(row: Mapping[str, str]) -> Rule:
    return Rule(row["basic"], {option: Action(row[option]) for option in Option if row[option]})
