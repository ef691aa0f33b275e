"""A hospital that sends a study in pieces, by tus."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.settings import Settings
from tests.api.caller import Answer, Caller

CHUNK_TYPE = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}
UPLOADS = "/v1/uploads"


def metadata(**fields: str) -> dict[str, str]:
    """Return the header that says these fields."""
    pairs = (f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in fields.items())
    return {"Upload-Metadata": ",".join(pairs)}


def checksum(algorithm: str, body: bytes) -> dict[str, str]:
    """Return the header that says what a piece hashes to."""
    digest = hashlib.new(algorithm, body, usedforsecurity=False).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


def folders(settings: Settings) -> list[Path]:
    """Return where uploads lie on the server's disk."""
    return list(settings.spool_dir.glob("partial/*/*/"))


@dataclass(frozen=True)
class Pieces:
    """Speaks tus with the key of one hospital."""

    caller: Caller

    def call(
        self,
        method: str,
        path: str = UPLOADS,
        body: bytes = b"",
        *,
        headers: Mapping[str, Any] | None = None,
    ) -> Answer:
        given = {name: str(value) for name, value in (headers or {}).items()}
        response = self.caller.client.open(
            path, method=method, data=body, headers=self.caller.headers(TUS | given)
        )
        return Answer.of(response)

    def announce(self, length: int, **fields: str) -> Answer:
        return self.call("POST", headers={"Upload-Length": length} | metadata(**fields))

    def begin(self, length: int, **fields: str) -> str:
        """Return the address of a new upload."""
        answer = self.announce(length, **fields)
        assert answer.status == 201, answer.text
        return answer.headers["Location"]

    def patch(
        self, path: str, offset: int, body: bytes, *, headers: Mapping[str, Any] | None = None
    ) -> Answer:
        own = {"Upload-Offset": offset, "Content-Type": CHUNK_TYPE}
        return self.call("PATCH", path, body, headers=own | dict(headers or {}))

    def offset(self, path: str) -> int:
        """Return what HEAD says."""
        answer = self.call("HEAD", path)
        assert answer.status == 200
        return int(answer.headers["Upload-Offset"])
