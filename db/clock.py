# SPDX-License-Identifier: Apache-2.0
"""The one clock that everybody goes by: the database's."""

from typing import Any

from sqlalchemy import ColumnElement, func


def from_now(seconds: float | ColumnElement[float]) -> ColumnElement[Any]:
    """Return the instant so many seconds from now; those of two workers need not agree."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
