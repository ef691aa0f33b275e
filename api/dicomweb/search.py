# SPDX-License-Identifier: Apache-2.0
"""The query of a search (PS3.18 8.3.4): keys, fields, page, and what of it is passed over."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from werkzeug.datastructures import MultiDict

from db.dicomweb import Search
from db.matching import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from hilum.dicom.attributes import tag_of
from hilum.dicom.matching import Match, match_of
from hilum.errors import InvalidRequest


class Level(StrEnum):
    """What a search is for."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


KEYS: Final[Mapping[Level, frozenset[str]]] = {
    Level.STUDY: frozenset(STUDY_KEYS),
    Level.SERIES: frozenset({*STUDY_KEYS, *SERIES_KEYS}),
    Level.INSTANCE: frozenset({*STUDY_KEYS, *SERIES_KEYS, *INSTANCE_KEYS}),
}
"""What a search at each level may match by."""

LARGEST_PAGE: Final[Mapping[Level, int]] = {
    Level.STUDY: 200,
    Level.SERIES: 500,
    Level.INSTANCE: 5000,
}
"""Results of one answer; as many come where no limit is asked for."""

FURTHEST: Final = 1_000_000_000
"""The largest offset that means anything."""

PARAMETERS: Final = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})
WHOLE: Final = re.compile(r"[0-9]{1,10}")
TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
PRINTABLE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
"""A name that may be repeated in a header."""

LISTS: Final = frozenset({"UI", "CS"})
"""Value representations of keys that may come several times: any of the values will do."""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for, as far as it is served.

    Attributes:
        level: what is searched for.
        search: the question.
        fields: tags beyond the usual ones.
        everything: whether all fields of this level are wanted.
        warnings: what was passed over.
    """

    level: Level
    search: Search
    fields: frozenset[str] = frozenset()
    everything: bool = False
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def parse(
        cls,
        level: Level,
        args: MultiDict[str, str],
        tenant_id: UUID,
        study_uid: str | None = None,
        series_uid: str | None = None,
    ) -> "Query":
        """Read the query of a request.

        Raises:
            InvalidRequest: a value is malformed.
        """
        warnings = list(_warnings(level, args))
        keys = dict(_keys(level, args))
        asked = [
            name.strip() for value in args.getlist("includefield") for name in value.split(",")
        ]
        matches = {name: match for name, match in keys.items() if match is not None}
        search = Search(
            tenant_id,
            matches,
            study_uid,
            series_uid,
            limit=min(_number(args, "limit", LARGEST_PAGE[level]), LARGEST_PAGE[level]),
            offset=_number(args, "offset", 0),
        )
        fields = frozenset({*map(tag_of, keys), *_tags(asked)})
        return cls(level, search, fields, "all" in asked, warnings)


def _keys(level: Level, args: MultiDict[str, str]) -> Iterator[tuple[str, Match | None]]:
    values: dict[str, list[str]] = {}
    for name in args:
        keyword = _keyword(name)
        if keyword in KEYS[level]:
            values.setdefault(keyword, []).extend(args.getlist(name))
    for keyword, asked in values.items():
        if len(asked) > 1 and dictionary_VR(keyword) not in LISTS:
            raise InvalidRequest(f"{keyword} was asked for {len(asked)} times, expected once.")
        yield keyword, match_of(keyword, ",".join(asked))


def _keyword(name: str) -> str:
    return keyword_for_tag(int(name, 16)) if TAG.fullmatch(name) else name


def _tags(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if TAG.fullmatch(name):
            yield name.upper()
        elif tag_for_keyword(name) is not None:
            yield tag_of(name)


def _number(args: MultiDict[str, str], name: str, usual: int) -> int:
    asked = args.get(name)
    if asked is None:
        return usual
    if not WHOLE.fullmatch(asked) or int(asked) > FURTHEST:
        raise InvalidRequest(
            f"{name} is {asked[:80]!r}, expected a whole number of at most {FURTHEST}."
        )
    return int(asked)


def _warnings(level: Level, args: MultiDict[str, str]) -> Iterator[str]:
    if args.get("fuzzymatching", "").lower() == "true":
        yield "Fuzzy matching is not supported. Only literal matching has been performed."
    unknown = [
        name for name in args if name not in PARAMETERS and _keyword(name) not in KEYS[level]
    ]
    if unknown:
        named = [name if PRINTABLE.fullmatch(name) else "a name that is none" for name in unknown]
        yield f"These keys are not supported at this level and were passed over: {', '.join(named)}."
