# SPDX-License-Identifier: Apache-2.0
"""What people type into the forms of the administration, made sure of before anything looks at it."""

from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from hilum.errors import InvalidRequest

LONGEST_NUMBER: Final = 16
"""Characters of a number."""

LARGEST: Final = 2**31 - 1
"""What the database takes for a number."""


def read_line(name: str, *, longest: int) -> str:
    """Return a line of text, without the space around it; it may be empty.

    Raises:
        InvalidRequest: it is too long, or holds what no keyboard types.
    """
    text = request.form.get(name, "").strip()
    if len(text) > longest or not text.isprintable():
        raise InvalidRequest(
            f"The field {name} has {len(text)} characters, expected one line of at most {longest}."
        )
    return text


def need_line(name: str, *, longest: int) -> str:
    """Return a line of text that is not empty.

    Raises:
        InvalidRequest: it is, or it is no such line.
    """
    text = read_line(name, longest=longest)
    if not text:
        raise InvalidRequest(f"The field {name} is empty, expected a text.")
    return text


def read_limit(name: str) -> int | None:
    """Return a whole number of 1 or more; None where the field is empty.

    Raises:
        InvalidRequest: it is something else.
    """
    text = read_line(name, longest=LONGEST_NUMBER)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= LARGEST:
        raise InvalidRequest(
            f"The field {name} is {text!r}, expected a number from 1 to {LARGEST}, or nothing."
        )
    return int(text)


def read_share(name: str) -> float:
    """Return a share, 0..1, from a field in percent: 0.7 % is the number nearest to 0.007.

    Raises:
        InvalidRequest: it is no number.
    """
    text = need_line(name, longest=LONGEST_NUMBER)
    try:
        # Half of the world writes a comma.
        return float(Decimal(text.replace(",", ".")) / 100)
    except ArithmeticError as error:
        raise InvalidRequest(f"The field {name} is {text!r}, expected percent.") from error


def see(endpoint: str, **values: Any) -> Response:
    """Send the browser to a page, so that to load it again sends no form again."""
    return redirect(url_for(endpoint, **values), HTTPStatus.SEE_OTHER)
