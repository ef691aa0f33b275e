"""A hospital that calls the API."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, Headers
from werkzeug.test import TestResponse, encode_multipart

ZIP = "application/zip"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: of the answer.
        data: its body.
        json: its body as JSON; None where it is something else.
    """

    status: int
    headers: Headers
    data: bytes
    json: Any

    @classmethod
    def of(cls, response: TestResponse) -> "Answer":
        with response:
            document = response.get_json(silent=True)
            return cls(response.status_code, response.headers, response.get_data(), document)

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.text
        assert self.json["status"] == self.status
        return self.status, self.json["code"]


@dataclass(frozen=True)
class Caller:
    """Calls with the key of one hospital, or with none."""

    client: FlaskClient
    key: str | None

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        own = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return own | dict(more or {})

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, **query: Any) -> Answer:
        return Answer.of(
            self.client.get(path, query_string=query or None, headers=self.headers(headers))
        )

    def delete(self, path: str) -> Answer:
        return Answer.of(self.client.delete(path, headers=self.headers()))

    def post_json(
        self, path: str, document: Any, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return Answer.of(self.client.post(path, json=document, headers=self.headers(headers)))

    def patch_json(self, path: str, document: Any) -> Answer:
        return Answer.of(self.client.patch(path, json=document, headers=self.headers()))

    def send(
        self,
        body: bytes,
        *,
        media_type: str = ZIP,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Upload a raw body."""
        return Answer.of(
            self.client.post(
                "/v1/studies",
                data=body,
                content_type=media_type,
                query_string=query,
                headers=self.headers(headers),
            )
        )

    def send_form(
        self,
        files: Mapping[str, bytes],
        *,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        """Upload files as parts of a form, by file name."""
        parts = [FileStorage(io.BytesIO(content), name) for name, content in files.items()]
        # The client's own encoder would leave temporary files open.
        boundary, body = encode_multipart({**(fields or {}), "file": parts})
        media_type = f"multipart/form-data; boundary={boundary}"
        return self.send(body, media_type=media_type, headers=headers)
