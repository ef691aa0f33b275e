# SPDX-License-Identifier: Apache-2.0
"""What a stream says, from its first word to its last."""

import time
from collections.abc import Iterator
from typing import Final, Protocol

from api.streams import sse
from api.streams.line import Line
from api.streams.listener import Listener, News, Trouble

HEARTBEAT_S: Final = 15.0
"""A stream that has nothing to say says so after as long: proxies close what is silent."""

LONGEST_S: Final = 300.0
"""A stream ends after as long, and its client comes again with its key or link, which may have
been revoked or have expired meanwhile."""

LOOK_EVERY_S: Final = 1.0
"""How soon a thread is free again whose client has gone away."""


class Teller(Protocol):
    """Puts news into words.

    Attributes:
        is_done: there is nothing more to be said.
    """

    is_done: bool

    def tell(self, news: News) -> Iterator[str]:
        """Yield what is said of one piece of news; nothing where it is none to this client."""


def speak(listener: Listener, line: Line, teller: Teller) -> Iterator[str]:
    """Yield what a client is sent, until all is said, it goes away, or the server ends."""
    for text in _all(listener, line, teller):
        if not line.takes_more():
            line.cut()
            return
        yield text
    if listener.is_slow:
        line.cut()


def _all(listener: Listener, line: Line, teller: Teller) -> Iterator[str]:
    yield sse.RETRY
    begun = spoken = time.monotonic()
    while not (teller.is_done or listener.is_closed or line.is_gone()):
        for text in _told(listener, teller):
            spoken = time.monotonic()
            yield text
            # Ten thousand events that were missed are told one by one, too.
            if listener.is_closed or spoken > begun + LONGEST_S:
                return
        if time.monotonic() > spoken + HEARTBEAT_S:
            spoken = time.monotonic()
            yield sse.comment("nothing new")
        if time.monotonic() > begun + LONGEST_S:
            return


def _told(listener: Listener, teller: Teller) -> Iterator[str]:
    for news in listener.take(LOOK_EVERY_S):
        if isinstance(news, Trouble):
            yield sse.comment(news.reason)
        elif not teller.is_done:
            yield from teller.tell(news)
