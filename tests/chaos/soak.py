"""Run a whole system for an hour under a steady stream of studies, and see whether memory stays flat.

python -m tests.chaos.soak --minutes 60
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event, Thread

import click

from tests.chaos.hospital import Hospital
from tests.chaos.ledger import breaches, tally
from tests.chaos.run import hospitals_of, until_all_ended
from tests.chaos.town import Town, running_town
from tests.worker.processes import children

WARM_UP_SHARE = 0.25
"""Caches fill and allocators settle in the first part of a run."""

GROWTH_MOST = 0.05
"""Between the middle and the end of what follows; noise of allocators is below it."""

EVERY_S = 15.0


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--rest", default=1.0, show_default=True, help="Seconds between two requests.")
def main(minutes: float, rest: float) -> None:
    """Print the resident memory of each kind of process over time; exit 1 where it grows."""
    folder = Path(tempfile.mkdtemp(prefix="hilum-soak-"))
    with running_town(folder) as town:
        [hospital, *_] = hospitals_of(town)
        over = Event()
        stream = Thread(target=_stream, args=(hospital, over, rest))
        stream.start()
        samples = list(_watch(town, minutes * 60))
        over.set()
        stream.join()
        until_all_ended(town, 300.0, lambda _: None)
        with town.sessions.begin() as session:
            wrong, counts = breaches(session, town.store, [hospital]), tally(session)
    growth = {name: _growth([sample[name] for sample in samples]) for name in samples[0]}
    outcome = {
        "minutes": minutes,
        "rest_s": rest,
        "tally": counts,
        "breaches": wrong,
        "MiB": {
            name: [round(sample[name]) for sample in samples[:: max(1, len(samples) // 12)]]
            for name in samples[0]
        },
        "growth": {name: round(value, 3) for name, value in growth.items()},
    }
    click.echo(json.dumps(outcome, indent=2))
    shutil.rmtree(folder)
    sys.exit(1 if wrong or max(growth.values()) > GROWTH_MOST else 0)


def _stream(hospital: Hospital, over: Event, rest_s: float) -> None:
    hospital.submit(10**6, Random(1), over, rest_s=rest_s)


def _watch(town: Town, seconds: float) -> Iterator[dict[str, float]]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(EVERY_S)
        yield {name: _resident_mib(town, name) for name in ("worker", "api", "beat")}


def _resident_mib(town: Town, name: str) -> float:
    """Return the memory of all processes of a kind, their children's too."""
    parents = [one.process.pid for one in town.those(name) if one.process is not None]
    pids = [pid for parent in parents for pid in (parent, *children(parent))]
    return sum(_pss_mib(pid) for pid in pids)


def _pss_mib(pid: int) -> float:
    # Pages that parent and child share count once.
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    [kib] = [line.split()[1] for line in lines if line.startswith("Pss:")]
    return int(kib) / 1024


def _growth(mib: list[float]) -> float:
    """Return by what share the second half of a run exceeds the first, warming up left out."""
    settled = mib[int(len(mib) * WARM_UP_SHARE) :]
    half = len(settled) // 2
    return statistics.median(settled[half:]) / statistics.median(settled[:half]) - 1


if __name__ == "__main__":
    main()
