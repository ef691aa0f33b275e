# SPDX-License-Identifier: Apache-2.0
"""Fields with a sentence each, written in one line."""

from typing import Any, Final

from apiflask.fields import Float, Integer, String
from apiflask.validators import OneOf

BINARY: Final[dict[str, str]] = {"type": "string", "format": "binary"}
"""A body that is no JSON, in the OpenAPI document."""

Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
"""Answers by status, in the OpenAPI document."""

CSV: Final[Responses] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""The other form in which a list is given, in the OpenAPI document."""


def choice(members: Any, note: str = "", **options: Any) -> String:
    """Return a field that holds one member of an enumeration."""
    names = [str(member) for member in members]
    return String(validate=OneOf(names), metadata={"description": note}, **options)


def text(note: str, **options: Any) -> String:
    """Return a described text field."""
    return String(metadata={"description": note}, **options)


def number(note: str, **options: Any) -> Float:
    """Return a described number field."""
    return Float(metadata={"description": note}, **options)


def count(note: str, **options: Any) -> Integer:
    """Return a described whole-number field."""
    return Integer(metadata={"description": note}, **options)


def file_responses(media_type: str, not_ready: str) -> Responses:
    """Return the answers of a view that sends a file of a job, or has none to send yet."""
    return {
        200: {"description": "The file.", "content": {media_type: {"schema": BINARY}}},
        409: {"description": not_ready},
    }
