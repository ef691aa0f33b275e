# SPDX-License-Identifier: Apache-2.0
"""The format of Server-Sent Events.

Source: WHATWG HTML, 9.2.5, "Parsing an event stream".
"""

import json
from collections.abc import Mapping
from typing import Any, Final

MEDIA_TYPE: Final = "text/event-stream"

RETRY_MS: Final = 2000
"""After a stream has ended or broken off, a browser opens it again so much later."""

RETRY: Final = f"retry: {RETRY_MS}\n\n"


def event(name: str, data: Mapping[str, Any], *, id: str | None = None) -> str:  # noqa: A002 - the field's name
    """Return an event; an `id` comes back as `Last-Event-ID` when the client connects again."""
    # JSON of one line: each line of a text would need a field of its own.
    fields = [f"event: {name}", *([] if id is None else [f"id: {id}"]), f"data: {json.dumps(data)}"]
    return "\n".join(fields) + "\n\n"


def position(event_id: str) -> str:
    """Return an id alone: no event to a client, but what it names as `Last-Event-ID` from now on."""
    return f"id: {event_id}\n\n"


def comment(text: str) -> str:
    """Return a line that clients pass over, and that keeps the connection alive."""
    return f": {text}\n\n"
