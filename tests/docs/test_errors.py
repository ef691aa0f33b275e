import re
from collections.abc import Iterator

import pytest

from api.errors import HTTP_CODE, status_of
from db.claims import EXHAUSTED, WORKER_LOST
from hilum.errors import HilumError
from tests.docs.places import read
from worker.outcome import INTERNAL_ERROR, TIME_LIMIT

ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| ([0-9-]+) \|", read("errors.md"), re.MULTILINE))


def every_error(family: type[HilumError] = HilumError) -> Iterator[type[HilumError]]:
    for error in family.__subclasses__():
        if error.__module__ == "hilum.errors":
            yield error
            yield from every_error(error)


@pytest.mark.parametrize("error", [*every_error()], ids=lambda error: error.code)
def test_every_error_code_has_its_row_and_its_http_status(error: type[HilumError]) -> None:
    if error.code == "input_error":
        assert "`input_error`" in read("errors.md")
        return

    assert ROWS[error.code] == str(status_of(error).value)


@pytest.mark.parametrize("status", HTTP_CODE, ids=lambda status: status.name)
def test_every_code_of_a_plain_http_error_has_its_row(status: int) -> None:
    assert HTTP_CODE[status] in ROWS


def test_no_row_is_about_a_code_that_is_gone() -> None:
    known = {error.code for error in every_error()} | set(HTTP_CODE.values())
    spoken_by_rooms = {EXHAUSTED, WORKER_LOST, INTERNAL_ERROR, "not_ready", TIME_LIMIT}

    assert spoken_by_rooms <= set(ROWS) <= known | spoken_by_rooms
