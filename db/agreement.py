# SPDX-License-Identifier: Apache-2.0
"""How far readers and Hilum agree: the newest word of each reader on each report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.insights import Asked
from db.tables import FeedbackRow
from hilum.agreement import Estimate, Table, kappa, share


@dataclass(frozen=True, slots=True)
class Words:
    """How often readers said one thing of one verdict.

    Attributes:
        network: whose verdict, as `name@version`.
        judged: Hilum's verdict, as the readers saw it.
        agrees: whether they found it right.
        said: what it should have been; None where it was right, or they did not say.
        n: words.
    """

    network: str
    judged: str
    agrees: bool
    said: str | None
    n: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Readers and Hilum held against each other.

    Attributes:
        network: as `name@version`; None for all of them together.
        agreed: share of the words that found the verdict right, 0..1.
        kappa: Cohen's, over the words that tell of a verdict.
        table: how often Hilum's verdict met each verdict of a reader.
        unnamed: words that found the verdict wrong without naming another; not in the table.
    """

    network: str | None
    agreed: Estimate | None
    kappa: Estimate | None
    table: Table
    unnamed: int

    @classmethod
    def of(cls, network: str | None, words: Iterable[Words]) -> Self:
        """Sum up words."""
        counts: Counter[tuple[bool, str | None, str]] = Counter()
        for word in words:
            counts[word.agrees, word.said, word.judged] += word.n
        table: Counter[tuple[str, str]] = Counter()
        for (agrees, said, judged), n in counts.items():
            if agrees or said is not None:
                table[judged, said or judged] += n
        agreed = sum(n for (agrees, _, _), n in counts.items() if agrees)
        total = counts.total()
        return cls(network, share(agreed, total), kappa(table), table, total - table.total())


def agreements(session: Session, asked: Asked) -> list[Agreement]:
    """Return how far readers agree with Hilum: in all, then with each network."""
    words = count_words(session, asked)
    by_network: dict[str, list[Words]] = {}
    for word in words:
        by_network.setdefault(word.network, []).append(word)
    each = [Agreement.of(network, its) for network, its in sorted(by_network.items())]
    return [Agreement.of(None, words), *each]


def count_words(session: Session, asked: Asked) -> list[Words]:
    """Count the newest word of each reader on each report, of those said in a period."""
    newest = (
        select(FeedbackRow)
        .where(*asked.of(FeedbackRow, FeedbackRow.created_at))
        .ext(distinct_on(FeedbackRow.report_id, FeedbackRow.user_id))
        .order_by(FeedbackRow.report_id, FeedbackRow.user_id, FeedbackRow.id.desc())
        .subquery()
    )
    groups = (newest.c.network, newest.c.judged_verdict, newest.c.agrees, newest.c.verdict)
    found = session.execute(select(*groups, func.count()).group_by(*groups))
    return [Words(*values) for values in found]
