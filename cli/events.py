# SPDX-License-Identifier: Apache-2.0
"""Server-Sent Events as a client reads them.

Source: WHATWG HTML, 9.2.6, "Interpreting an event stream".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

MEDIA_TYPE: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream.

    Attributes:
        name: what kind it is.
        data: what it carries; lines are divided by a line feed.
    """

    name: str
    data: str


def read_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    """Yield the events in the lines of a stream; one that was cut short is dropped."""
    name = "message"
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(name, "\n".join(data))
            name, data = "message", []
            continue
        # A comment has an empty field name, and is passed over like every unknown one.
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
