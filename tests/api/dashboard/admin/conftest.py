"""What the tests of the administration ask for."""

from collections.abc import Iterator
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import event

from api.parts import EXTENSION


@pytest.fixture
def statements(app: APIFlask) -> Iterator[list[str]]:
    """What the app asks the database from now on."""
    engine, asked = app.extensions[EXTENSION].engine, []

    def note(_: Any, __: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)
