import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from uuid import uuid4

import pytest

from api.streams import line as line_module
from api.streams import speech
from api.streams.line import Line
from api.streams.listener import JobGone, Listener, News, Trouble
from api.streams.speech import speak


class Echo:
    """Says what kind of news there is, and is done when a job is gone."""

    def __init__(self) -> None:
        self.is_done = False

    def tell(self, news: News) -> Iterator[str]:
        self.is_done = isinstance(news, JobGone)
        yield type(news).__name__


@pytest.fixture
def listener() -> Listener:
    return Listener(uuid4())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "LOOK_EVERY_S", 0.01)


def test_stream_that_has_nothing_to_say_says_so(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "HEARTBEAT_S", 0.02)

    said = list(islice(speak(listener, Line(None), Echo()), 3))

    assert said == ["retry: 2000\n\n", ": nothing new\n\n", ": nothing new\n\n"]


def test_trouble_is_a_comment(listener: Listener) -> None:
    listener.hear(Trouble("The database does not answer."))

    said = list(islice(speak(listener, Line(None), Echo()), 2))

    assert said[1] == ": The database does not answer.\n\n"


def test_stream_ends_when_all_is_said(listener: Listener) -> None:
    listener.hear(JobGone(uuid4()))

    assert list(speak(listener, Line(None), Echo())) == ["retry: 2000\n\n", "JobGone"]


def test_stream_ends_after_a_while_so_that_the_key_is_looked_at_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "LONGEST_S", 0.05)

    assert list(speak(listener, Line(None), Echo())) == ["retry: 2000\n\n"]


def test_client_that_has_gone_away_is_spoken_to_no_longer(listener: Listener) -> None:
    client, server = socket.socketpair()
    with server:
        words = speak(listener, Line(server), Echo())
        next(words)
        client.close()

        assert list(words) == []


def test_client_that_takes_nothing_is_cut_off(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "SLOW_S", 0.05)
    client, server = socket.socketpair()
    with client, server:
        words = speak(listener, Line(server), Echo())
        next(words)
        server.setblocking(False)
        with suppress(BlockingIOError):
            while server.send(bytes(65536)):
                pass
        listener.hear(Trouble("nobody will read this"))

        assert list(words) == []
        with pytest.raises(BrokenPipeError):
            server.send(b"more")
