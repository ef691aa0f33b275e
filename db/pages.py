# SPDX-License-Identifier: Apache-2.0
"""Long lists in pages: each begins where the last one ended, however many rows came in between."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.session import Sessions
from hilum.errors import InvalidRequest
from hilum.registry import AT

LARGEST_PAGE = 500
"""Rows; more would hold a connection for too long."""

LARGEST_INT = 2**63 - 1
"""What the database takes for a number."""

MALFORMED = (binascii.Error, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What comes of reading a cursor that somebody made up."""

R = TypeVar("R")
SortColumn = ColumnElement[Any] | InstrumentedAttribute[Any]
IdColumn = InstrumentedAttribute[UUID] | InstrumentedAttribute[int]
SortColumns = Mapping[str, SortColumn]
"""What a list may be sorted by: the name in a request, and the column behind it."""

Conditions = Mapping[str, Callable[[Any], ColumnElement[bool]]]
"""What a list may be narrowed by: the field of a filter, and what its value asks of a row."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted.

    Attributes:
        cursor: `next_cursor` of the page before; None for the first.
        limit: rows, at most LARGEST_PAGE.
        sort: name of a column; a minus before it puts the largest first.
    """

    cursor: str | None = None
    limit: int = 50
    sort: str = "-created_at"


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """One page of a list.

    Attributes:
        rows: in the order asked for.
        next_cursor: where the next page begins; None on the last.
    """

    rows: list[R]
    next_cursor: str | None


def fetch_page(
    session: Session,
    query: Select[R],
    page: Page,
    *,
    columns: SortColumns,
    id_column: IdColumn,
) -> Listing[R]:
    """Return one page of a query that has no order of its own.

    Raises:
        InvalidRequest: the limit, the sort or the cursor is not one of ours.
    """
    if not 1 <= page.limit <= LARGEST_PAGE:
        raise InvalidRequest(
            f"A page of {page.limit} rows was asked for, expected 1-{LARGEST_PAGE}."
        )
    column, falls = _sort_column(page.sort, columns)
    query = _from_cursor(query, page, column, id_column, falls=falls)
    order = (column.desc(), id_column.desc()) if falls else (column, id_column)
    # One row more than asked for tells whether there is a next page.
    wanted = query.add_columns(column, id_column).order_by(*order).limit(page.limit + 1)
    found = session.execute(wanted).all()
    rows = [row[0] for row in found[: page.limit]]
    if len(found) <= page.limit:
        return Listing(rows, None)
    _, value, row_id = found[page.limit - 1]
    return Listing(rows, _write_cursor(page.sort, value, row_id))


def count_from(
    session: Session,
    query: Select[R],
    page: Page,
    *,
    columns: SortColumns,
    id_column: IdColumn,
) -> int:
    """Return how many rows a list has from where a page begins, whatever the page's limit.

    Raises:
        InvalidRequest: the sort or the cursor is not one of ours.
    """
    column, falls = _sort_column(page.sort, columns)
    rest = _from_cursor(query, page, column, id_column, falls=falls).with_only_columns(id_column)
    return session.scalars(select(func.count()).select_from(rest.subquery())).one()


def version_of(column: InstrumentedAttribute[str]) -> Callable[[str], ColumnElement[bool]]:
    """Return the condition that a column names a network, or any version of it."""
    return lambda asked: (column == asked) | column.startswith(f"{asked}{AT}", autoescape=True)


def narrow(query: Select[R], chosen: object, conditions: Conditions) -> Select[R]:
    """Return a query of the rows that meet every field of a filter that is not None."""
    asked = ((ask, getattr(chosen, field)) for field, ask in conditions.items())
    return query.where(*(ask(value) for ask, value in asked if value is not None))


def iterate(
    sessions: Sessions, fetch: Callable[[Session, Page], Listing[R]], sort: str
) -> Iterator[R]:
    """Yield every row of a list; a reader however slow holds no transaction open."""
    page = Page(limit=LARGEST_PAGE, sort=sort)
    while True:
        with sessions.begin() as session:
            listing = fetch(session, page)
        yield from listing.rows
        if listing.next_cursor is None:
            return
        page = replace(page, cursor=listing.next_cursor)


def _sort_column(sort: str, columns: SortColumns) -> tuple[SortColumn, bool]:
    name = sort.removeprefix("-")
    if name not in columns:
        raise InvalidRequest(f"Sorting by {name!r} was asked for, expected {', '.join(columns)}.")
    return columns[name], sort.startswith("-")


def _from_cursor(
    query: Select[R],
    page: Page,
    column: SortColumn,
    id_column: IdColumn,
    *,
    falls: bool,
) -> Select[R]:
    if page.cursor is None:
        return query
    return query.where(_after(page, column, id_column, falls=falls))


def _after(
    page: Page,
    column: SortColumn,
    id_column: IdColumn,
    *,
    falls: bool,
) -> ColumnElement[bool]:
    types = [column.type, id_column.type]
    place = tuple_(*_read_cursor(page, *(each.python_type for each in types)), types=types)
    here = tuple_(column, id_column)
    return here < place if falls else here > place


def _write_cursor(sort: str, value: Any, row_id: UUID | int) -> str:
    text = value.isoformat() if isinstance(value, date) else value
    document = json.dumps([sort, text, str(row_id)])
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def _read_cursor(page: Page, value_type: type, id_type: type) -> tuple[Any, Any]:
    try:
        padded = f"{page.cursor}==="
        sort, text, row_id = json.loads(base64.urlsafe_b64decode(padded))
        value, place = _parse(text, value_type), _parse(row_id, id_type)
    except MALFORMED as error:
        raise InvalidRequest("The cursor is not one that this list gave out.") from error
    if sort != page.sort:
        raise InvalidRequest(f"The cursor is of a list sorted by {sort}, expected {page.sort}.")
    return value, place


def _parse(text: Any, python_type: type) -> Any:
    if python_type is datetime:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.astimezone()
    if python_type is date:
        return date.fromisoformat(text)
    if python_type is int and abs(int(text)) > LARGEST_INT:
        raise ValueError(f"Found {text}, expected {LARGEST_INT} at most.")
    return python_type(text)
