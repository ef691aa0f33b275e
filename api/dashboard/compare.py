# SPDX-License-Identifier: Apache-2.0
"""Two reports side by side: by another network, or of the same patient at another time."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template
from sqlalchemy.orm import Session

from api.parts import parts
from api.person import entry_of, needs, person
from db.audit import append
from db.comparison import Compared, change_of, compared, of_same_patient, of_same_study
from db.reports import findings_of
from db.scope import Scope
from hilum.audit import Action
from hilum.change import Amount, Change, change_between
from hilum.people import Permission

compare = APIBlueprint(
    "compare", __name__, url_prefix="/cases/<uuid:job_id>/compare", enable_openapi=False
)

MOST_FINDINGS: Final = 20
"""Findings of each report on the page; they are the largest."""


@dataclass(frozen=True, slots=True)
class Other:
    """A report that the one of a case may be held against.

    Attributes:
        report: the other one.
        change: from the earlier scan to the later one.
        is_earlier: whether the other one is the earlier.
    """

    report: Compared
    change: Change
    is_earlier: bool


@dataclass(frozen=True, slots=True)
class Others:
    """What `dashboard/compare_with.html` shows.

    Attributes:
        job_id: the case.
        of_study: of the same study by other networks or versions.
        of_patient: of other studies of the patient, as far as they may be known.
    """

    job_id: UUID
    of_study: list[Other]
    of_patient: list[Other]


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the table that holds two reports against each other.

    Attributes:
        name: what is measured.
        amount: before and after.
        is_share: whether it is a share, 0..1; else it is millilitres.
    """

    name: str
    amount: Amount
    is_share: bool = False

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """Before, after, the difference, and the difference as a share of before."""
        relative = self.amount.relative
        return (
            self._say(self.amount.before),
            self._say(self.amount.after),
            self._say(self.amount.absolute, sign="+", points=True),
            "" if relative is None else f"{100 * relative:+z.0f} %",
        )

    def _say(self, value: float, *, sign: str = "", points: bool = False) -> str:
        if self.is_share:
            return f"{100 * value:{sign}z.1f} {'points' if points else '%'}"
        return f"{value:{sign}z.0f} ml"


def others_than(session: Session, job_id: UUID) -> Others:
    """Return what the report of a case may be held against by the one who is signed in.

    Raises:
        UnknownReport: there is no report, or it is another hospital's.
    """
    scope, patients = _scopes()
    one = compared(session, scope, job_id)
    return Others(
        job_id,
        [_other(one, each) for each in of_same_study(session, scope, one)],
        [_other(one, each) for each in of_same_patient(session, patients, one)],
    )


@compare.get("/<uuid:other_id>")
@needs(Permission.SEE)
def show(job_id: UUID, other_id: UUID) -> str:
    """Show two reports side by side, the earlier scan first."""
    scope, patients = _scopes()
    with parts().sessions.begin() as session:
        before, after, change = change_of(
            session, scope, patients, job_id=job_id, other_id=other_id
        )
        found = [findings_of(session, each.report_id, MOST_FINDINGS) for each in (before, after)]
        _note_views(session, before, after)
    return render_template(
        "dashboard/compare.html",
        job_id=job_id,
        change=change,
        pair=list(zip((before, after), found, strict=True)),
        most=MOST_FINDINGS,
        rows=_rows(change),
    )


def _scopes() -> tuple[Scope, Scope]:
    one = person()
    return one.scope(Permission.SEE), one.scope(Permission.KNOW_PATIENTS)


def _other(one: Compared, other: Compared) -> Other:
    before, after = sorted((one, other), key=attrgetter("age"))
    return Other(other, change_between(before.reading, after.reading), before is other)


def _note_views(session: Session, *pair: Compared) -> None:
    ids = [str(each.job_id) for each in pair]
    append(
        session,
        *(
            entry_of(
                person().by,
                Action.CASE_VIEWED,
                each.tenant_id,
                each.job_id,
                {"compared": ids},
            )
            for each in pair
        ),
    )


def _rows(change: Change) -> list[Measure]:
    """Return what of both is a number, in the order of the page."""
    names = {"total": "both lungs", "right": "right lung", "left": "left lung"}
    sides = {name: change.sides[side] for side, name in names.items()}
    return [
        *(Measure(f"Share of {name}", side.share, is_share=True) for name, side in sides.items()),
        *(Measure(f"Lesion in {name}", side.lesion_ml) for name, side in sides.items()),
        *(Measure(f"Of it {label}", amount) for label, amount in change.by_label.items()),
        *(Measure(f"Volume of {name}", side.lung_ml) for name, side in sides.items()),
    ]
