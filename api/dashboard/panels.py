# SPDX-License-Identifier: Apache-2.0
"""Figures as people read them: a sentence, a table, and what a chart draws of it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from api.dashboard.figures import Column, Figures, Panel
from api.schemas.cases import NO_CODE
from db.insights import Speed
from hilum.agreement import Estimate
from hilum.grading import Grade, Verdict
from hilum.jobs import State

COLOURS: Final[Mapping[str, str]] = {
    Verdict.NO_FINDING: "--good",
    Verdict.MILD: "--warn",
    Verdict.ALARMING: "--bad",
}
"""Of the stylesheet, as everywhere else a verdict is shown."""

RUN: Final = (
    "Seconds of the whole run, reading and writing included, over the slices of the series."
)

MOST_WORKERS: Final = 50
"""Lines of workers; containers change their host's name with each start."""

PAPER: Final = (
    "Aleem, Raj, Khan 2020 (arXiv 2008.09713) report 9.04 seconds an inference and F1 0.85 for"
    " ResNet101. That is theirs: other hardware, other code, and an inference rather than a whole"
    " run over its slices."
)
"""Source: the abstract."""

WAITED: Final = (
    "From when a job was queued to its last start: a second attempt waited for the first."
)

NOT_BLIND: Final = (
    "The newest word of each reader on each report. Readers who see Hilum's verdict first agree more"
    " easily than those who do not: this is no blind reading."
)

LATER: Final[Mapping[str, str]] = {
    "speed": "Seconds a slice by network and worker",
    "waits": "Waiting time by urgency, seconds",
}
"""Titles of what is fetched once the page is there: exact medians sort every case of the period."""

KAPPA: Final = (
    "Kappa is Cohen's: 0 is what chance alone brings, 1 is everything. It rests on the words that tell"
    " of a verdict."
)


def cases_panel(figures: Figures) -> Panel:
    """Show how many reports of each verdict each day brought."""
    counts = {(one.day, one.verdict): one.n for one in figures.cases}
    days, verdicts = figures.period.days, list(Verdict)
    by_verdict = {verdict: [counts.get((day, verdict), 0) for day in days] for verdict in verdicts}
    total = sum(counts.values())
    said = ", ".join(f"{sum(by_verdict[verdict])} {verdict}" for verdict in verdicts)
    return Panel(
        name="cases",
        title="Cases by day and verdict",
        n=_of(total, "report"),
        summary=f"{_of(total, 'report')} from {days[0]} to {days[-1]}: {said}.",
        columns=[
            Column("Day"),
            *(Column(verdict, "d") for verdict in verdicts),
            Column("All", "d"),
        ],
        rows=[(day, *ns, sum(ns)) for day, *ns in zip(days, *by_verdict.values(), strict=True)],
        chart={
            "kind": "stack",
            "of": "Day",
            "unit": "reports a day",
            "labels": [str(day) for day in days],
            "series": [
                {"name": verdict, "colour": COLOURS[verdict], "values": by_verdict[verdict]}
                for verdict in verdicts
            ],
        },
        notes=[
            f"A case belongs to the day on which its report was written, in {figures.period.zone}."
        ],
        cases={
            (row, column): {"verdict": verdict, **figures.period.ends_of(day)}
            for row, day in enumerate(days)
            for column, verdict in enumerate(verdicts, 1)
            if counts.get((day, verdict))
        },
    )


def speed_panel(figures: Figures) -> Panel:
    """Show how fast each network is, and on which worker."""
    together = [one for one in figures.speeds if one.worker is None]
    each = [one for one in figures.speeds if one.worker is not None]
    shown = sorted(each, key=lambda one: -one.n)[:MOST_WORKERS]
    said = "; ".join(f"{one.network} takes {one.median_s:.2f} s" for one in together)
    left_out = len(each) - len(shown)
    return Panel(
        name="speed",
        title=LATER["speed"],
        n=_of(sum(one.n for one in together), "report"),
        summary=f"At the median, {said}." if said else "No network has run.",
        columns=[
            Column("Network"),
            Column("Worker"),
            Column("Device"),
            Column("Reports", "d"),
            Column("Median, s", ".3f"),
            Column("90 % within, s", ".3f"),
        ],
        rows=[
            (one.network, _worker(one), one.device, one.n, one.median_s, one.p90_s)
            for one in (*together, *sorted(shown, key=figures.speeds.index))
        ],
        chart=_grouped(
            "Network",
            "seconds a slice",
            [one.network for one in together],
            {
                "median": ("--accent", [one.median_s for one in together]),
                "90 % within": ("--quiet", [one.p90_s for one in together]),
            },
        ),
        notes=[
            RUN,
            PAPER,
            *([f"{_of(left_out, 'worker')} with fewer reports left out."] if left_out else []),
        ],
        cases={
            (row, 0): {"network": one.network, "state": State.SUCCEEDED}
            for row, one in enumerate(together)
        },
    )


def waits_panel(figures: Figures) -> Panel:
    """Show how long jobs of each urgency wait."""
    found = figures.waits
    said = "; ".join(f"{one.priority} {one.median_s:.1f} s" for one in found)
    return Panel(
        name="waits",
        title=LATER["waits"],
        n=_of(sum(one.n for one in found), "job"),
        summary=f"Half of the jobs were begun within: {said}." if said else "No job was begun.",
        columns=[
            Column("Urgency"),
            Column("Jobs", "d"),
            Column("Median, s", ".1f"),
            Column("90 % within, s", ".1f"),
            Column("99 % within, s", ".1f"),
        ],
        rows=[(one.priority, one.n, one.median_s, one.p90_s, one.p99_s) for one in found],
        chart=_grouped(
            "Urgency",
            "seconds",
            [str(one.priority) for one in found],
            {
                "median": ("--accent", [one.median_s for one in found]),
                "90 % within": ("--quiet", [one.p90_s for one in found]),
                "99 % within": ("--field", [one.p99_s for one in found]),
            },
        ),
        notes=[WAITED],
    )


def failures_panel(figures: Figures) -> Panel:
    """Show why jobs failed."""
    total = sum(one.n for one in figures.failures)
    most = figures.failures[0] if figures.failures else None
    return Panel(
        name="failures",
        title="Failures by code, jobs",
        n=_of(total, "job"),
        summary=(
            f"{_of(total, 'job')} ended without a report, most by {most.code or 'no code'} ({most.n})."
            if most
            else "No job failed."
        ),
        columns=[Column("Code"), Column("Jobs", "d"), Column("Share of failures", ".1%")],
        rows=[(one.code or NO_CODE, one.n, one.n / total) for one in figures.failures],
        cases={
            (row, 0): {"error": one.code or NO_CODE} for row, one in enumerate(figures.failures)
        },
    )


def shares_panel(figures: Figures) -> Panel:
    """Show how lesion shares are spread, with the cuts of the grades."""
    bars, thresholds = figures.shares, figures.thresholds
    total = sum(bar.n for bar in bars)
    alarming = sum(bar.n for bar in bars if bar.low >= thresholds.alarming_share)
    cuts = dict(zip(list(Grade)[1:], (thresholds.finding_from, *thresholds.bins), strict=True))
    return Panel(
        name="shares",
        title="Lesion share of lung, reports",
        n=_of(total, "report"),
        summary=(
            f"{_of(total, 'report')}, {alarming} of them at or above the cut to Alarming at"
            f" {100 * thresholds.alarming_share:g} %."
        ),
        columns=[Column("From", ".1%"), Column("To", ".1%"), Column("Reports", "d")],
        rows=[(bar.low, bar.high, bar.n) for bar in bars],
        chart={
            "kind": "stack",
            "of": "Share from",
            "unit": "reports",
            "labels": [f"{100 * bar.low:g} %" for bar in bars],
            "series": [
                {"name": "reports", "colour": "--accent", "values": [bar.n for bar in bars]}
            ],
            "marks": [
                {"index": number, "name": grade}
                for number, bar in enumerate(bars)
                for grade, cut in cuts.items()
                if bar.low == cut
            ],
        },
        notes=(
            f"Lines mark where grades begin, by {thresholds.version}.",
            f"{thresholds.alarming_from} and above are Alarming.",
            "A bar that a cut bounds may be narrower than the others.",
        ),
    )


def agreement_panel(figures: Figures) -> Panel:
    """Show how far readers agree, in all and with each network."""
    whole = figures.agreements[0]
    n = whole.agreed.n if whole.agreed else 0
    return Panel(
        name="agreement",
        title="Agreement of readers",
        n=f"{_of(n, 'word')} of readers",
        summary=(
            f"Readers agree with {100 * whole.agreed.value:.0f} % of {_of(n, 'verdict')}."
            if whole.agreed
            else "No reader has said anything."
        ),
        columns=[
            Column("Network"),
            Column("Words", "d"),
            Column("Agree", ".1%"),
            Column("95 % interval of it"),
            Column("Kappa", ".2f"),
            Column("95 % interval of kappa"),
            Column("Named no verdict", "d"),
        ],
        rows=[
            (
                one.network or "all",
                one.agreed.n,
                one.agreed.value,
                _interval(one.agreed, ".1%"),
                one.kappa and one.kappa.value,
                _interval(one.kappa, ".2f"),
                one.unnamed,
            )
            for one in figures.agreements
            if one.agreed
        ],
        notes=(NOT_BLIND, KAPPA),
    )


def corrections_panel(figures: Figures) -> Panel:
    """Show which verdicts readers would have given."""
    table = figures.agreements[0].table
    verdicts, total = list(Verdict), sum(table.values())
    wrong = sum(n for (ours, theirs), n in table.items() if ours != theirs)
    return Panel(
        name="corrections",
        title="Verdicts of Hilum, line by line, and of readers, words",
        n=f"{_of(total, 'word')} that tell of a verdict",
        summary=f"Readers gave another verdict {wrong} times." if total else "There are none.",
        columns=[Column("Hilum"), *(Column(verdict, "d") for verdict in verdicts)],
        rows=[
            (ours, *(table.get((ours, theirs), 0) for theirs in verdicts))
            for ours in verdicts
            if total
        ],
    )


PANELS: Final[Mapping[str, Callable[[Figures], Panel]]] = {
    "cases": cases_panel,
    "shares": shares_panel,
    "speed": speed_panel,
    "waits": waits_panel,
    "failures": failures_panel,
    "agreement": agreement_panel,
    "corrections": corrections_panel,
}
"""By name, in the order of the page."""


def _of(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _worker(speed: Speed) -> str:
    return "all" if speed.worker is None else speed.worker or "not known"


def _grouped(
    of: str, unit: str, labels: list[str], series: Mapping[str, tuple[str, list[float]]]
) -> dict[str, Any] | None:
    if not labels:
        return None
    named = [
        {"name": name, "colour": colour, "values": values}
        for name, (colour, values) in series.items()
    ]
    return {"kind": "group", "of": of, "unit": unit, "labels": labels, "series": named}


def _interval(estimate: Estimate | None, form: str) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    column = Column("", form)
    return f"{column.show(estimate.low)} to {column.show(estimate.high)}"
