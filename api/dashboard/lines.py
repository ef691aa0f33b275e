# SPDX-License-Identifier: Apache-2.0
"""What a line of the list of cases shows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.dashboard.patient import Patient
from api.person import entry_of, person, seal_of
from db.audit import append
from db.cases import Case, Sight
from db.tables import CaseRow, JobRow
from hilum.audit import Action
from hilum.people import Permission


@dataclass(frozen=True, slots=True)
class Line:
    """A case, as far as the one who looks may know it.

    Attributes:
        case: all of it.
        may_act: whether they may do something with its job.
    """

    case: Case
    may_act: bool

    @property
    def patient(self) -> Patient | None:
        """Whose study it is; None where they may not know."""
        return Patient.of(self.case.study) if self.case.is_known else None

    @property
    def label(self) -> str:
        """What the case is called where its line is read aloud."""
        patient = self.patient
        return (patient and (patient.name or patient.number)) or f"case {self.case.job.id}"


def sight() -> Sight:
    """Return what the one who is signed in sees."""
    scope = person().scope
    return Sight(scope(Permission.SEE), known=scope(Permission.KNOW_PATIENTS))


def lines_of(cases: Iterable[Case]) -> list[Line]:
    """Return the lines of some cases."""
    return [Line(case, person().may(Permission.OPERATE, case.row.tenant_id)) for case in cases]


def note_names(session: Session, cases: Iterable[Case]) -> None:
    """Write into the audit log, for each hospital, which of its patients were named in a list."""
    named = defaultdict(list)
    for case in cases:
        if case.is_known:
            named[case.row.tenant_id].append(str(case.job.id))
    by = person().by
    entries = (
        entry_of(by, Action.PATIENT_VIEWED, tenant_id, "list", {"cases": len(ids), "jobs": ids})
        for tenant_id, ids in named.items()
    )
    if named:
        append(session, *entries)


def digest_of(cases: Iterable[Case]) -> str:
    """Return what differs as soon as a line of the list would: first by which cases, then by what is said.

    It is sealed: by one that was made up, somebody would have patients named without an entry.
    """
    listed = list(cases)
    named = [(case.job.id, case.is_known) for case in listed]
    said = [_said(case.row, case.job) for case in listed]
    return f"{seal_of('names', named)[:32]}-{seal_of('lines', said)[:16]}"


def names_of(digest: str) -> str:
    """Return the part of a digest that differs as soon as the list holds other cases."""
    return digest.partition("-")[0]


def _said(row: CaseRow, job: JobRow) -> tuple[object, ...]:
    work = (job.state, job.priority, job.stage, job.fraction, job.cancel_requested)
    return (job.id, *work, row.verdict, row.grade, row.review)
