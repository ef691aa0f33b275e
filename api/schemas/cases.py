# SPDX-License-Identifier: Apache-2.0
"""What a list of cases is asked for with; the query string is the whole of its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Self
from urllib.parse import urlencode

from apiflask import Schema
from apiflask.fields import AwareDateTime, Boolean, Date, Enum, Float, String
from apiflask.validators import Length, OneOf, Range, Regexp
from marshmallow import RAISE, ValidationError, validates_schema
from werkzeug.datastructures import MultiDict

from api.errors import explain
from api.lists import LONGEST_CURSOR, NAME, NETWORK
from db.cases import SORTS, CaseFilter
from db.pages import Page
from hilum.errors import InvalidRequest
from hilum.grading import Grade, Verdict
from hilum.jobs import Priority, State

ON_A_PAGE: Final = 50
LONGEST_TEXT: Final = 200
MOST_WORDS: Final = 6
"""Each is looked up by itself."""

PLAIN: Final = Regexp(r"^[^\x00-\x1f\x7f]{1,200}$", error="Must be a line of text.")
CODE: Final = Regexp(r"^[a-z0-9_]{1,64}$", error="Must be the code of an error.")
YEARS: Final = Range(date(1900, 1, 1), date(2999, 12, 31), error="Must be a date since 1900.")
INSTANTS: Final = Range(
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(3000, 1, 1, tzinfo=UTC),
    error="Must be a date and time since 1900.",
)
NO_CODE: Final = "none"
"""Asks for what went wrong without a code."""

PERCENT: Final = Range(0, 100, error="Must be a percentage, 0-100.")
PAGE_FIELDS: Final = frozenset({"cursor", "sort"})

RANGES: Final = {
    "received_from": "received_to",
    "finished_from": "finished_to",
    "dated_from": "dated_to",
    "share_min": "share_max",
}
"""Where each range begins, and where it ends."""


def _words(text: str) -> None:
    if len(text.split()) > MOST_WORDS:
        raise ValidationError(f"Has {len(text.split())} words, expected {MOST_WORDS} at most.")


class CasesQuery(Schema):
    """Which cases, in which order, from where on."""

    class Meta:
        """A misspelt filter, passed over, would answer with everything."""

        unknown = RAISE

    text = String(validate=[Length(1, LONGEST_TEXT), PLAIN, _words])
    received_from = Date(validate=YEARS)
    received_to = Date(validate=YEARS)
    finished_from = AwareDateTime(default_timezone=UTC, validate=INSTANTS)
    finished_to = AwareDateTime(default_timezone=UTC, validate=INSTANTS)
    error = String(validate=CODE)
    dated_from = Date(validate=YEARS)
    dated_to = Date(validate=YEARS)
    tenant = String(validate=PLAIN)
    scanner = String(validate=PLAIN)
    pipeline = String(validate=NAME)
    network = String(validate=NETWORK)
    state = Enum(State, by_value=True)
    priority = Enum(Priority, by_value=True)
    verdict = Enum(Verdict, by_value=True)
    grade = Enum(Grade, by_value=True)
    review = Boolean(truthy={"yes"}, falsy={"no"})
    share_min = Float(validate=PERCENT)
    share_max = Float(validate=PERCENT)
    sort = String(
        load_default="-received",
        validate=OneOf([f"{sign}{name}" for name in SORTS for sign in ("", "-")]),
    )
    cursor = String(validate=Length(1, LONGEST_CURSOR))

    @validates_schema
    def check_ranges(self, found: dict[str, Any], **_: Any) -> None:
        """Refuse ranges that end before they begin: nothing is in them."""
        wrong = {
            begin: [f"Is {found[begin]}, beyond {found[end]}, where the range ends."]
            for begin, end in RANGES.items()
            if begin in found and end in found and found[begin] > found[end]
        }
        if wrong:
            raise ValidationError(wrong)


@dataclass(frozen=True, slots=True)
class Asked:
    """A list that was asked for.

    Attributes:
        chosen: which cases.
        page: in which order, and from where on.
        fields: of the query string as it was sent, without those that are empty.
    """

    chosen: CaseFilter
    page: Page
    fields: Mapping[str, str]

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> Self:
        """Read a query string.

        Raises:
            InvalidRequest: it is not one that this list gives out.
        """
        fields = _single(query)
        try:
            found = CasesQuery().load(fields)
        except ValidationError as error:
            wrong = {
                name.replace("_", " ").capitalize(): problems
                for name, problems in error.messages_dict.items()
            }
            raise InvalidRequest(explain(wrong)[:500]) from error
        page = Page(found.pop("cursor", None), ON_A_PAGE, found.pop("sort"))
        return cls(CaseFilter(**_as_filter(found)), page, fields)

    @classmethod
    def as_typed(cls, query: MultiDict[str, str]) -> Self:
        """Keep what can be shown of a query string that `of` refuses, and ask for everything."""
        fields = {
            name: text[:LONGEST_TEXT]
            for name, text in query.items()
            if name in CasesQuery().fields and name not in PAGE_FIELDS and text.isprintable()
        }
        return cls(CaseFilter(), Page(None, ON_A_PAGE, "-received"), fields)

    @property
    def filters(self) -> dict[str, str]:
        """What narrows the list."""
        return {name: text for name, text in self.fields.items() if name not in PAGE_FIELDS}

    @property
    def query(self) -> str:
        """The query string of the list from its beginning, in one form."""
        return urlencode({name: text for name, text in self.fields.items() if name != "cursor"})

    def sorted_by(self, name: str) -> dict[str, str]:
        """Return the fields of the same list by a column; once more by the same turns it round."""
        sort = name if self.page.sort == f"-{name}" else f"-{name}"
        return self.filters | {"sort": sort}


def _single(query: MultiDict[str, str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, values in query.lists():
        filled = [value.strip() for value in values if value.strip()]
        if len(filled) > 1:
            raise InvalidRequest(f"{name[:20]!r} has {len(filled)} values, expected one.")
        if filled:
            fields[name] = filled[0]
    return fields


def _as_filter(found: dict[str, Any]) -> dict[str, Any]:
    begin, last = found.pop("received_from", None), found.pop("received_to", None)
    shares = {
        f"share_{end}": found.pop(f"share_{name}") / 100
        for name, end in (("min", "from"), ("max", "to"))
        if f"share_{name}" in found
    }
    since = None if begin is None else _midnight(begin)
    until = None if last is None else _midnight(last + timedelta(days=1))
    ends = {
        f"finished_{end}": found.pop(f"finished_{name}", None)
        for name, end in (("from", "since"), ("to", "until"))
    }
    if found.get("error") == NO_CODE:
        found["error"] = ""
    return found | shares | ends | {"since": since, "until": until}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
