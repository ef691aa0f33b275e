"""Pages that nobody signs in for, and errors as pages."""

import re

import pytest

from hilum.errors import QueueStalled
from tests.api.caller import Caller
from tests.api.dashboard.visitor import HTML

A_BROWSER = {"Accept": HTML}


def test_every_error_has_its_row(anyone: Caller) -> None:
    answer = anyone.get("/problems", headers=A_BROWSER)

    assert f'<tr id="{QueueStalled.code}">' in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/problems", "/docs", "/nowhere"])
def test_pages_load_nothing_from_elsewhere(anyone: Caller, path: str) -> None:
    answer = anyone.get(path, headers=A_BROWSER)

    assert not re.findall(r'(?:href|src|action)="(?!/)(?!#)[^"]*"', answer.text)
    assert "<script>" not in answer.text
    assert "style=" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nowhere", 404, "not_found"),
        ("/v1/jobs", 401, "missing_key"),
        ("/v1/studies/not-an-id", 404, "not_found"),
    ],
)
def test_error_is_a_page_for_a_browser_and_a_document_for_a_program(
    anyone: Caller, path: str, status: int, said: str
) -> None:
    page = anyone.get(path, headers=A_BROWSER)
    document = anyone.get(path)

    assert page.status == document.status == status
    assert page.headers["Content-Type"].startswith("text/html")
    assert said in page.text
    assert document.refusal == (status, said)
