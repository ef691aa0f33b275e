"""Somebody at a browser, as far as pages need no script."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""What browsers accept where a page is opened."""


@dataclass(frozen=True)
class Visitor:
    """A browser with its own cookies.

    Attributes:
        client: of the app.
    """

    client: FlaskClient

    def get(self, path: str, **query: Any) -> TestResponse:
        return _read(self.client.get(path, query_string=query or None, headers={"Accept": HTML}))

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, token: str | None = None
    ) -> TestResponse:
        """Send a form as a page of this sign-in would have it; `token` sends another one's."""
        form = {"form_token": self.token() if token is None else token} | (data or {})
        return _read(self.client.post(path, data=form, headers={"Accept": HTML}))

    def token(self) -> str:
        """What the forms of this sign-in carry; empty where nobody is signed in."""
        page = self.get("/cases").text
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
        return found[1] if found else ""

    def sign_in(self, name: str, password: str, **more: str) -> TestResponse:
        form = {"name": name, "password": password} | more
        return self.client.post("/sign-in", data=form, headers={"Accept": HTML})


def _read(answer: TestResponse) -> TestResponse:
    # A file that is sent stays open until its answer was read.
    with answer:
        answer.get_data()
    return answer


def words(answer: TestResponse) -> str:
    """Return what a page says, without its markup."""
    assert answer.mimetype == "text/html"
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())
