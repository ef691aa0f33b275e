import pytest
from structlog.testing import capture_logs

from db.audit import append, verify_log
from db.session import Sessions
from hilum.audit import Action, Entry, Head
from worker import scribe
from worker.scribe import Scribe


def write(sessions: Sessions) -> None:
    with sessions.begin() as session:
        append(session, Entry("m.curie", Action.SIGNED_IN))


def test_head_is_written_to_the_log_where_it_has_moved(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "EVERY_S", 0.0)
    teller = Scribe()

    with capture_logs() as lines:
        teller.tell_head(sessions)
        write(sessions)
        teller.tell_head(sessions)
        teller.tell_head(sessions)

    assert [(line["event"], line["entries"]) for line in lines] == [("audit.head", 1)]
    with sessions.begin() as session:
        assert verify_log(session, Head(1, lines[0]["sha256"])).is_whole


def test_head_is_written_once_a_minute_at_most(sessions: Sessions) -> None:
    teller = Scribe()

    with capture_logs() as lines:
        for _ in range(3):
            write(sessions)
            teller.tell_head(sessions)

    assert [line["entries"] for line in lines] == [1]
