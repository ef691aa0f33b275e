"""A client that listens: reads the events of a stream as a browser does."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx


@dataclass(frozen=True)
class Heard:
    """One event.

    Attributes:
        name: what the client listens for.
        data: its document.
        id: what comes back as `Last-Event-ID`.
        at: when it came, by the monotonic clock.
    """

    name: str
    data: Any
    id: str | None
    at: float


@dataclass
class Ear:
    """Reads a stream.

    Attributes:
        comments: lines that a browser passes over.
        retry_ms: when to come again.
    """

    lines: Iterable[str]
    comments: list[str] = field(default_factory=list)
    retry_ms: int | None = None

    def events(self) -> Iterator[Heard]:
        fields: dict[str, str] = {}
        for line in self.lines:
            name, _, value = line.partition(":")
            if not line and "data" in fields:
                data = json.loads(fields["data"])
                yield Heard(fields["event"], data, fields.get("id"), time.monotonic())
            if not line:
                fields = {}
            elif not name:
                self.comments.append(value.strip())
            elif name == "retry":
                self.retry_ms = int(value)
            else:
                fields[name] = value.strip()


def ear_of(text: str) -> Ear:
    """An ear for what was said already."""
    return Ear(text.splitlines())


@contextmanager
def listening(url: str, key: str | None = None, *, last: str | None = None) -> Iterator[Ear]:
    """Hear a stream for the length of a `with` block, as soon as there is room for one more."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if last is not None:
        headers["Last-Event-ID"] = last
    with ExitStack() as stack:
        for _ in range(50):
            answer = stack.enter_context(httpx.stream("GET", url, headers=headers, timeout=60))
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            # The thread of a client that went away a moment ago has yet to notice.
            time.sleep(0.1)
        assert answer.status_code == HTTPStatus.OK, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Ear(answer.iter_lines())
