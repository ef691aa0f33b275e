"""Every error Hilum can name has a status, and none tells more than it should."""

from http import HTTPStatus
from typing import NoReturn

import pytest
from apiflask import APIFlask
from sqlalchemy.exc import OperationalError

from api.errors import RETRY_AFTER_S, STATUS, status_of
from hilum import errors
from hilum.errors import ConfigurationError, HilumError, InputError, TransientError
from tests.api.caller import Answer, Caller


def family(root: type[HilumError]) -> list[type[HilumError]]:
    return [root, *(below for child in root.__subclasses__() for below in family(child))]


@pytest.mark.parametrize("error", family(InputError)[1:])
def test_error_of_the_input_is_a_4xx(error: type[HilumError]) -> None:
    assert any(above in STATUS for above in error.__mro__)
    assert 400 <= status_of(error) < 500


@pytest.mark.parametrize("error", family(TransientError))
def test_error_that_passes_has_a_time_to_wait(error: type[HilumError]) -> None:
    assert status_of(error) in {429, 503, 507}
    assert any(above in RETRY_AFTER_S for above in error.__mro__)


@pytest.mark.parametrize("error", family(ConfigurationError))
def test_error_of_the_installation_is_unavailable(error: type[HilumError]) -> None:
    assert status_of(error) == HTTPStatus.SERVICE_UNAVAILABLE


def test_codes_name_one_error_each() -> None:
    codes = [error.code for error in family(HilumError)]

    assert len(codes) == len(set(codes))


def raising(app: APIFlask, error: Exception) -> Answer:
    def fail() -> NoReturn:
        raise error

    app.add_url_rule("/fail", view_func=fail)
    return Caller(app.test_client(), None).get("/fail")


def test_problem_document_names_everything_rfc_9457_asks_for(app: APIFlask) -> None:
    answer = raising(app, errors.UnknownJob("There is no job 7."))

    assert answer.refusal == (404, "unknown_job")
    assert answer.json == {
        "type": "/problems#unknown_job",
        "title": "No job of this tenant has this id.",
        "status": 404,
        "detail": "There is no job 7.",
        "code": "unknown_job",
        "instance": "/fail",
        "request_id": answer.headers["X-Request-ID"],
    }


def test_problem_says_when_to_try_again(app: APIFlask) -> None:
    answer = raising(app, errors.StorageFull("The disk has 3 MiB free, this needs 16 MiB."))

    assert answer.refusal == (507, "storage_full")
    assert answer.headers["Retry-After"] == "60"


@pytest.mark.parametrize("secret", ["Doe^Jane", "postgresql://user:secret@host/db"])
def test_unexpected_error_tells_nothing_of_what_it_said(
    app: APIFlask, secret: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = raising(app, ValueError(secret))

    out, err = capfd.readouterr()
    assert answer.refusal == (500, "internal_error")
    assert secret not in answer.text + out + err
    assert "ValueError" in out + err


def test_lost_database_is_unavailable_and_its_words_stay_here(app: APIFlask) -> None:
    answer = raising(app, OperationalError("SELECT", {}, ConnectionError("host db.inside")))

    assert answer.refusal == (503, "database_unavailable")
    assert "db.inside" not in answer.text
    assert answer.headers["Retry-After"]


def test_unknown_address_and_wrong_method_are_problems_too(anyone: Caller) -> None:
    assert anyone.get("/v2/jobs").refusal == (404, "not_found")
    wrong = Answer.of(anyone.client.put("/v1/jobs"))
    assert wrong.refusal == (405, "method_not_allowed")
    assert "GET" in wrong.headers["Allow"]


def test_page_of_problems_explains_every_code(anyone: Caller) -> None:
    page = anyone.get("/problems").text

    leaves = [error for error in family(HilumError) if not error.__subclasses__()]
    assert all(f'id="{error.code}"' in page for error in leaves)
