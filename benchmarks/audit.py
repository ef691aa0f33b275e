# SPDX-License-Identifier: Apache-2.0
"""The audit log: how many entries a second it takes, and how many a second a look at all of them reads.

Alone: each entry in a transaction of its own, as a person's deed has it; together: eight at a time.

    python -m benchmarks.audit [ENTRIES]
"""

import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from cli.local import embedded_postgres
from db.audit import append, verify_log
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from hilum.audit import Action, Entry

APPENDS: Final = 1000
"""Transactions that are timed."""

WRITERS: Final = 8
"""Who write at the same time."""

AT_ONCE: Final = 1000
"""Entries of a transaction where the log is only filled."""

HOSPITAL: Final = UUID(int=7)


def main(entries: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = make_engine(stack.enter_context(embedded_postgres(folder / "postgres")))
        stack.callback(engine.dispose)
        migrate(engine)
        sessions = make_sessions(engine)
        alone_s = _append(sessions, writers=1)
        together_s = _append(sessions, writers=WRITERS)
        _fill(sessions, entries)
        begun = time.perf_counter()
        with sessions.begin() as session:
            found = verify_log(session)
        verify_s = time.perf_counter() - begun
    if not found.is_whole or found.count != entries:
        sys.exit(f"{found.count} of {entries} entries were found as they were written.")
    measured = {
        "benchmark": "audit",
        "entries": entries,
        "appends_per_s_alone": round(APPENDS / alone_s),
        "appends_per_s_together": round(APPENDS / together_s),
        "verify_s": round(verify_s, 2),
        "verified_per_s": round(entries / verify_s),
    }
    print(json.dumps(measured))


def _append(sessions: Sessions, *, writers: int) -> float:
    """Return the seconds that so many entries take, each in a transaction."""
    ready = threading.Barrier(writers + 1)

    def write() -> None:
        # Each has its connection before the clock begins.
        with sessions() as session:
            session.connection()
            ready.wait()
        for number in range(APPENDS // writers):
            with sessions.begin() as session:
                append(session, _entry(number))

    with ThreadPoolExecutor(writers) as pool:
        done = [pool.submit(write) for _ in range(writers)]
        ready.wait()
        begun = time.perf_counter()
        for one in done:
            one.result()
        return time.perf_counter() - begun


def _fill(sessions: Sessions, entries: int) -> None:
    """Write the rest of the entries."""
    for first in range(2 * APPENDS, entries, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, entries))
        with sessions.begin() as session:
            append(session, *map(_entry, numbers))


def _entry(number: int) -> Entry:
    """Return what is kept of somebody who opens a case, the most frequent of all deeds."""
    job_id = str(uuid5(HOSPITAL, str(number)))
    detail = {"study": str(uuid5(HOSPITAL, job_id)), "patients": True}
    return Entry("user rita.reader", Action.CASE_VIEWED, HOSPITAL, job_id, detail, "10.1.2.3")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
