# SPDX-License-Identifier: Apache-2.0
"""Find cases by what somebody types: words, each of which a case has to answer in some way.

A word finds what begins with it. The words of a case are `tsvector` columns with GIN indexes: no
extension is needed, and each case writes some six words to an index, not the sixty triples of
letters of a UID, as `pg_trgm` would. What names a patient has a column of its own: who may not know
patients is not answered from it, not by a count either. The label of a batch, which its hospital
chose, finds cases for whoever sees that hospital's.
"""

import re
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    any_,
    bindparam,
    false,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from db.scope import Scope
from db.tables import BatchJobRow, BatchRow, CaseRow, TenantRow

SEPARATORS: Final = re.compile(r"[\s^=,/_-]+")
"""What parts words; `words_of` of the database parts them likewise."""

PART_OF_ID: Final = re.compile(r"[0-9a-f]{6,32}")
"""A job's id, or how it begins; with fewer digits it would be any number."""

FEW: Final = 1000
"""Ids that are named to the planner, which knows nothing of words that are rare."""


def answering(
    session: Session, query: Select[CaseRow], text: str, scope: Scope, *, known: Scope
) -> Select[CaseRow]:
    """Return those cases of a query that answer every word of a text.

    PostgreSQL takes any beginning of a word for that of one row in fifty, and would look for a single
    case along the whole list. So cases that are few are looked up first, and asked for by their ids.

    Args:
        session: to look up what is few.
        query: cases, narrowed by all else that is asked: what is left of many may be few.
        text: words with space between them.
        scope: hospitals whose cases the one who asks sees.
        known: hospitals whose patients they know.
    """
    found = query.where(
        *(_meets_word(session, word, scope, known) for word in text.lower().split())
    )
    few = _few(session, found.with_only_columns(CaseRow.job_id))
    return found if few is None else query.where(_is_among(few))


def _meets_word(session: Session, word: str, scope: Scope, known: Scope) -> ColumnElement[bool]:
    query = _prefixes(word)
    if query is None:
        return false()
    named = CaseRow.patient_words.bool_op("@@")(query) & known.holds(CaseRow.tenant_id)
    # Each of these has an index of its own, so that together they have one, too.
    return or_(
        CaseRow.words.bool_op("@@")(query),
        *([] if known.is_nothing else [named]),
        *_id_begins(word),
        *_of_hospitals(session, word, scope),
        *_of_batches(session, query, scope),
    )


def _prefixes(word: str) -> ColumnElement[str] | None:
    parts = [part for part in SEPARATORS.split(word) if part]
    if not parts:
        return None
    quoted = (part.replace("\\", "\\\\").replace("'", "''") for part in parts)
    return bindparam(None, " & ".join(f"'{part}':*" for part in quoted), TSQUERY, unique=True)


def _id_begins(word: str) -> list[ColumnElement[bool]]:
    digits = word.replace("-", "")
    if not PART_OF_ID.fullmatch(digits):
        return []
    return [CaseRow.job_id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))]


def _of_hospitals(session: Session, word: str, scope: Scope) -> list[ColumnElement[bool]]:
    begins = TenantRow.name.istartswith(word, autoescape=True)
    found = session.scalars(select(TenantRow.id).where(begins, scope.holds(TenantRow.id))).all()
    return [CaseRow.tenant_id.in_(found)] if found else []


def _of_batches(
    session: Session, query: ColumnElement[str], scope: Scope
) -> list[ColumnElement[bool]]:
    named = select(BatchJobRow.job_id).join(BatchRow, BatchRow.id == BatchJobRow.batch_id)
    named = named.where(func.words_of(BatchRow.label).bool_op("@@")(query))
    named = named.where(scope.holds(BatchRow.tenant_id))
    few = _few(session, named)
    if few is None:
        return [CaseRow.job_id.in_(named)]
    return [_is_among(few)] if few else []


def _few(session: Session, ids: Select[UUID]) -> list[UUID] | None:
    """Return the ids of a query; None where there are more than a few."""
    # Behind the fence it is planned as if all were wanted, and read until there are too many.
    found = ids.cte("found").prefix_with("MATERIALIZED")
    few = session.scalars(select(found.c.job_id).limit(FEW + 1)).all()
    return None if len(few) > FEW else list(few)


def _is_among(ids: list[UUID]) -> ColumnElement[bool]:
    # One array: as many parameters would take the planner longer than the search.
    return CaseRow.job_id == any_(bindparam(None, ids, ARRAY(Uuid), unique=True))
