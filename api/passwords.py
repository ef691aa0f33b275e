# SPDX-License-Identifier: Apache-2.0
"""Passwords: which are good enough, and whether one is right."""

from functools import cache
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from hilum.errors import InvalidRequest

SHORTEST: Final = 12
LONGEST: Final = 128
"""Characters. Length is what keeps guessers out; no rule asks for odd signs (NIST SP 800-63B)."""

AT_ONCE: Final = 2
"""Hashes computed at a time: each takes 64 MiB and a core for some 50 ms, on purpose."""

hasher = PasswordHasher()
"""Argon2id with the parameters of RFC 9106 for machines short of memory."""

_turns = BoundedSemaphore(AT_ONCE)


def hash_password(password: str, *, name: str) -> str:
    """Return what is kept of a new password.

    Raises:
        InvalidRequest: it is too short, too long, or the name itself.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest(
            f"The password has {len(password)} characters, expected {SHORTEST}-{LONGEST}."
        )
    if name.lower() in password.lower():
        raise InvalidRequest("The password holds the name it belongs to, expected another one.")
    with _turns:
        return hasher.hash(password)


def is_right(password: str, hashed: str | None) -> bool:
    """Tell whether a password is the one whose hash was kept; as slow where there is none."""
    with _turns:
        try:
            hasher.verify(hashed or _nobodys(), password[:LONGEST])
        except VerifyMismatchError:
            return False
    return hashed is not None


@cache
def _nobodys() -> str:
    return hasher.hash("the password of nobody")
