# SPDX-License-Identifier: Apache-2.0
"""What is done with the cases that somebody ticked: each by itself, and told one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template, request

from api.dashboard.doing import do_as_person, wishes_for
from api.dashboard.lines import Line, lines_of, sight
from api.parts import parts
from api.person import needs
from api.schemas.actions import Action as Deed
from db.cases import CaseFilter, list_cases, search
from db.pages import LARGEST_PAGE, Page
from hilum.errors import HilumError, InvalidRequest
from hilum.people import Permission

bulk = APIBlueprint("bulk", __name__, url_prefix="/cases", enable_openapi=False)

MOST: Final = LARGEST_PAGE
"""Cases of one form; a page has fewer."""

WORDS: Final[Mapping[Deed, str]] = {
    Deed.RETRY: "queued again",
    Deed.CANCEL: "cancelled",
    Deed.PRIORITISE: "made as urgent as asked",
}
"""What may be done with many, in words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Attributes:
        line: which one.
        refusal: why it was left as it is, in a sentence; None where it was not.
        is_due: whether a worker is wanted.
    """

    line: Line
    refusal: str | None
    is_due: bool = False


@bulk.post("/<any(retry,cancel,prioritise):deed>")
@needs(Permission.OPERATE)
def do(deed: str) -> str:
    """Do something with the cases that were ticked, and tell what became of each."""
    wanted, ids = Deed(deed), ticked()
    wishes = wishes_for(wanted)
    with parts().sessions.begin() as session:
        seen = search(session, sight(), CaseFilter(ids=ids))
        found = list_cases(session, seen, Page(limit=MOST, sort="received"))
    outcomes = [_act(wanted, line, wishes) for line in lines_of(found.rows)]
    if due := sum(outcome.is_due for outcome in outcomes):
        parts().bell.ring(due)
    return render_template(
        "dashboard/cases_done.html",
        outcomes=outcomes,
        done=sum(outcome.refusal is None for outcome in outcomes),
        # Of a hospital that they may not see, or of none: they learn no more than that.
        unknown=len(ids) - len(outcomes),
        words=WORDS[wanted],
        query=request.form.get("query", ""),
    )


def ticked() -> tuple[UUID, ...]:
    """Return the ids of the cases that were ticked.

    Raises:
        InvalidRequest: there are none, too many, or something else among them.
    """
    sent = dict.fromkeys(request.form.getlist("job_id"))
    if not 1 <= len(sent) <= MOST:
        raise InvalidRequest(f"{len(sent)} cases were ticked, expected 1-{MOST}.")
    return _ids(sent)


def _ids(sent: Iterable[str]) -> tuple[UUID, ...]:
    try:
        return tuple({UUID(one): None for one in sent})
    except ValueError as error:
        raise InvalidRequest("One of the ticked cases has no id, expected one of each.") from error


def _act(wanted: Deed, line: Line, wishes: Mapping[str, Any]) -> Outcome:
    try:
        with parts().sessions.begin() as session:
            done = do_as_person(session, wanted, line.case.job, wishes)
    except HilumError as error:
        return Outcome(line, error.message)
    return Outcome(line, None, done.is_due)
