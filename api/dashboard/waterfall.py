# SPDX-License-Identifier: Apache-2.0
"""Where the time of a job went: one bar after the other."""

from dataclasses import dataclass
from itertools import accumulate

from db.tables import JobRow
from hilum.jobs import Stage


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the time of a job.

    Attributes:
        name: what it went into.
        seconds: how long.
        begin, length: of the whole, in per cent.
    """

    name: str
    seconds: float
    begin: float
    length: float


def waterfall(job: JobRow) -> list[Bar]:
    """Return what the time of a job went into, from its submission on; nothing before it has run."""
    if not job.timings_s or job.started_at is None:
        return []
    waited_s = max(0.0, (job.started_at - job.created_at).total_seconds())
    # The database keeps a document's keys in an order of its own.
    spans = [("waiting", waited_s)]
    spans += [(stage.value, job.timings_s[stage]) for stage in Stage if stage in job.timings_s]
    ends = list(accumulate(seconds for _, seconds in spans))
    whole = max(ends[-1], 0.001)
    return [
        Bar(name, seconds, 100 * (end - seconds) / whole, 100 * seconds / whole)
        for (name, seconds), end in zip(spans, ends, strict=True)
    ]
