# SPDX-License-Identifier: Apache-2.0
"""What was done to a dataset, attribute by attribute: tags and numbers, never a value."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydicom.datadict import keyword_for_tag


class Deed(StrEnum):
    """What can be done to an attribute."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    REMAPPED = "remapped"
    SHIFTED = "shifted"
    CLEANED = "cleaned"


@dataclass(frozen=True, slots=True)
class Change:
    """One deed to one attribute, wherever it stood.

    Attributes:
        tag: (gggg,eeee).
        keyword: as PS3.6 has it, "" where it has none.
        deed: what was done.
        count: how often, in all files and at every depth of sequences.
    """

    tag: str
    keyword: str
    deed: Deed
    count: int


@dataclass(frozen=True, slots=True)
class Account:
    """What was done.

    Attributes:
        changes: by tag.
    """

    changes: tuple[Change, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How often each deed was done."""
        sums = {deed.value: 0 for deed in Deed}
        for change in self.changes:
            sums[change.deed] += change.count
        return sums

    def to_json(self) -> dict[str, Any]:
        """Return the account as plain data."""
        changes = [
            {"tag": one.tag, "keyword": one.keyword, "deed": one.deed.value, "count": one.count}
            for one in self.changes
        ]
        return {"counts": self.counts, "changes": changes}


@dataclass(slots=True)
class Tally:
    """An account while it is being written."""

    seen: Counter[tuple[int, Deed]] = field(default_factory=Counter)

    def note(self, tag: int, deed: Deed) -> None:
        """Count one deed."""
        self.seen[int(tag), deed] += 1

    def close(self) -> Account:
        """Return the account."""
        return Account(
            tuple(
                Change(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", keyword_for_tag(tag), deed, count)
                for (tag, deed), count in sorted(self.seen.items())
            )
        )


def together(accounts: Iterable[Account]) -> Account:
    """Return one account of several."""
    tally = Tally()
    for account in accounts:
        for one in account.changes:
            tag = int(one.tag[1:5] + one.tag[6:10], 16)
            tally.seen[tag, one.deed] += one.count
    return tally.close()
