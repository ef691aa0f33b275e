# SPDX-License-Identifier: Apache-2.0
"""What a hospital's own servers are told of, and how they know that it is us who tells them.

Signatures are those of Standard Webhooks 1.0.0, for which every language has a library.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from hilum.jobs import FINAL_STATES, State

PREFIX: Final = "whsec_"
"""Lets a scanner of leaked secrets, and a person, recognise one (Standard Webhooks, signature scheme)."""

SECRET_BYTES: Final = 32
"""Random bytes of a secret: as many as SHA-256 has; the specification asks for 24 to 64."""

PING: Final = "ping"
"""The event of a test; it is nobody's news."""


def event_of(state: State) -> str:
    """Return the event of a job that has come into a state."""
    return f"job.{state}"


EVENTS: Final = tuple(event_of(state) for state in State if state in FINAL_STATES)
"""What can be told of: the end of a job, whichever it is."""


def new_secret() -> str:
    """Return a secret to sign with, as its receiver keeps it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def write_body(event: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Return what is sent of an event, without a byte that could be left out.

    Args:
        event: of `EVENTS`, or `PING`.
        at: when it happened.
        data: what happened.
    """
    document = {"type": event, "timestamp": at.isoformat(), "data": data}
    return json.dumps(document, separators=(",", ":"))


def sign(keys: Iterable[str], notice_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver tells our call from anybody else's.

    Args:
        keys: secrets; the receiver need know but one of them.
        notice_id: the same at every attempt, so that a repeat is known as one.
        at_s: when it is sent, in seconds since 1970; a copy that comes later is known by it.
        body: to the byte.
    """
    content = f"{notice_id}.{at_s}.".encode() + body
    signatures = (f"v1,{_signature(key, content)}" for key in keys)
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }


def _signature(key: str, content: bytes) -> str:
    secret = base64.b64decode(key.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
