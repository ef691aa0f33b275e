"""One run: hospitals submit, faults strike, everything comes to an end, and the ledger is read."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from db.tables import JobRow, WritingRow
from db.tenants import add_tenant, new_key
from hilum.jobs import FINAL_STATES
from tests.chaos.faults import in_turn, strike
from tests.chaos.hospital import Hospital
from tests.chaos.ledger import breaches, tally
from tests.chaos.town import DISK_MARGIN_MB, Town, running_town

HOSPITALS = 3
PAUSE_S = 0.5
"""Between two faults, at most: the next one often meets a system that has not recovered."""


QUIET_S = 300.0
"""After the last fault everything must have ended within so long, and a second more a job."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        seed: the same faults in the same order.
        jobs, faults: how many.
        by_fault: how often each kind struck.
        found_nothing: how often each kind had nothing to break, and does not count.
        tally: what came of the jobs.
        refused: answers of the API that were no promise, by status; 0 is none at all.
        seconds: of it all.
        breaches: promises that were not kept.
    """

    seed: int
    jobs: int
    faults: int
    by_fault: dict[str, int]
    found_nothing: dict[str, int]
    tally: dict[str, Any]
    refused: dict[int, int]
    seconds: float
    breaches: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run_chaos(
    folder: Path, *, jobs: int, faults: int, seed: int, say: Callable[[str], None]
) -> Outcome:
    """Submit so many jobs while so many faults strike, and return what came of it.

    Args:
        folder: for the system's data and logs.
        jobs: requests of all hospitals together.
        faults: that found something to break.
        seed: of faults and requests; what they meet depends on the machine too.
        say: told in a line what happens.
    """
    begun = time.monotonic()
    with running_town(folder, disk_margin_mb=DISK_MARGIN_MB) as town:
        hospitals = hospitals_of(town)
        struck, missed = _break(town, hospitals, jobs=jobs, faults=faults, seed=seed, say=say)
        say("No more faults; waiting for every job to end.")
        until_all_ended(town, QUIET_S + jobs, say)
        with town.sessions.begin() as session:
            found = breaches(session, town.store, hospitals)
            counts = tally(session)
    refused: Counter[int] = Counter()
    for hospital in hospitals:
        refused.update(hospital.refused)
    return Outcome(
        seed=seed,
        jobs=sum(len(one.promised) for one in hospitals),
        faults=struck.total(),
        by_fault=dict(sorted(struck.items())),
        found_nothing=dict(sorted(missed.items())),
        tally=counts,
        refused=dict(sorted(refused.items())),
        seconds=round(time.monotonic() - begun, 1),
        breaches=found,
    )


def hospitals_of(town: Town) -> list[Hospital]:
    hospitals = []
    for number in range(1, HOSPITALS + 1):
        name = f"hospital-{number}"
        with town.sessions.begin() as session:
            add_tenant(session, name)
            key = new_key(session, name, "chaos")
        hospitals.append(Hospital(name, number, key, town.url))
    return hospitals


def _break(
    town: Town,
    hospitals: list[Hospital],
    *,
    jobs: int,
    faults: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Counter[str], Counter[str]]:
    random, over = Random(seed), Event()
    struck: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    with ThreadPoolExecutor(HOSPITALS) as pool:
        shares = [jobs // HOSPITALS + (n < jobs % HOSPITALS) for n in range(HOSPITALS)]
        sent = [
            pool.submit(one.submit, share, Random(seed * 1000 + one.number), over)
            for one, share in zip(hospitals, shares, strict=True)
        ]
        try:
            for name in in_turn(random):
                if struck.total() >= faults:
                    break
                (struck if strike(name, town, random) else missed)[name] += 1
                say(f"{struck.total()}/{faults} {name}")
                time.sleep(random.uniform(0.0, PAUSE_S))
            for one in sent:
                one.result()
        finally:
            over.set()
    return struck, missed


def until_all_ended(town: Town, patience_s: float, say: Callable[[str], None]) -> None:
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        with suppress(DBAPIError), town.sessions.begin() as session:
            waiting = select(func.count()).where(JobRow.state.not_in(FINAL_STATES))
            # What attempts left behind goes a lease after it was seen.
            leftovers = select(func.count()).where(WritingRow.claim.is_not(None))
            left = session.scalar(waiting), session.scalar(leftovers)
            say(f"{left[0]} jobs to end, {left[1]} folders to sweep")
            if left == (0, 0):
                return
        time.sleep(2.0)
