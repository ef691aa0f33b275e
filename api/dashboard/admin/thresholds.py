# SPDX-License-Identifier: Apache-2.0
"""The page of thresholds: by what new reports are graded, and what another set would change."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from apiflask import APIBlueprint
from flask import render_template, request
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import need_line, read_share, see
from api.dashboard.admin.rights import check_administers_everything, remember
from api.errors import status_of
from api.parts import parts
from api.person import person
from db.regrades import Change, ask_regrade, count_otherwise, foretell, is_asked
from db.thresholds import (
    add_thresholds,
    choose_thresholds,
    current_thresholds,
    current_use,
    list_thresholds,
    list_uses,
    thresholds_named,
)
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.grading import (
    LONGEST_SOURCE,
    LONGEST_VERSION,
    Grade,
    Thresholds,
    check_thresholds,
)

thresholds = APIBlueprint("thresholds", __name__, url_prefix="/thresholds", enable_openapi=False)
thresholds.before_request(check_administers_everything)

USES: Final = 20
"""Changes on the page, the newest first."""


@thresholds.get("")
def index() -> str:
    """List the sets, and offer a form for a new one that starts from what is used."""
    return _index()


def _index(error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        current = current_thresholds(session)
        return render_template(
            "dashboard/admin/thresholds.html",
            kept=list_thresholds(session),
            uses=list_uses(session, USES),
            current=current,
            # What was typed in is not lost with an error.
            typed=request.form or _typed(current),
            grades=list(Grade)[1:],
            error=error,
        )


@thresholds.post("/preview")
def preview() -> str | tuple[str, int]:
    """Show what a new set would change, before anything is kept."""
    try:
        found = _read()
    except InvalidRequest as error:
        return _index(error), status_of(type(error))
    return _shown(found, is_kept=False)


@thresholds.post("")
def keep() -> Response | tuple[str, int]:
    """Keep a new set; nothing is graded by it yet."""
    try:
        found = _read()
        with parts().sessions.begin() as session:
            if add_thresholds(session, found, by=person().by):
                remember(session, Action.THRESHOLDS_ADDED, found.version, cuts=_typed(found))
    except InvalidRequest as error:
        return _index(error), status_of(type(error))
    return _see(found.version)


@thresholds.get("/<version>")
def show(version: str) -> str:
    """Show a set, and what it would change."""
    with parts().sessions.begin() as session:
        found = thresholds_named(session, version)
    return _shown(found, is_kept=True)


def _shown(found: Thresholds, *, is_kept: bool) -> str:
    with parts().sessions.begin() as session:
        changes, current = foretell(session, found), current_thresholds(session)
    return render_template(
        "dashboard/admin/set.html",
        one=found,
        is_kept=is_kept,
        is_current=found == current,
        changes=changes,
        others=_count(change for change in changes if change.is_other_verdict),
        older=_count(changes),
        typed=request.form or _typed(found),
        **_progress(),
    )


@thresholds.post("/<version>/use")
def use(version: str) -> Response:
    """Grade new reports by a set from now on."""
    with parts().sessions.begin() as session:
        if choose_thresholds(session, version, by=person().by):
            remember(session, Action.THRESHOLDS_CHOSEN, version)
    return _see(version)


@thresholds.post("/<version>/regrade")
def regrade(version: str) -> Response:
    """Have older reports graded by the set that is used, too."""
    with parts().sessions.begin() as session:
        if current_thresholds(session).version != version:
            raise InvalidRequest(f"New reports are not graded by {version}: use it for them first.")
        if ask_regrade(session, by=person().by):
            remember(session, Action.REGRADED, version, reports="all")
    return _see(version)


@thresholds.get("/<version>/progress")
def progress(version: str) -> str:
    """Show how many older reports are still to be graded, for a page that stays open."""
    with parts().sessions.begin() as session:
        older = count_otherwise(session, thresholds_named(session, version).version)
    return render_template(
        "dashboard/admin/progress.html", version=version, older=older, **_progress()
    )


def _progress() -> dict[str, object]:
    with parts().sessions.begin() as session:
        use = current_use(session)
    return {"use": use, "is_asked": use is not None and is_asked(use)}


# ── Forms ─────────────────────────────────────────────────────────────────────────────────────


def _read() -> Thresholds:
    first, second, third = (read_share(f"bin_{number}") for number in (2, 3, 4))
    found = Thresholds(
        version=need_line("version", longest=LONGEST_VERSION),
        finding_from=read_share("finding_from"),
        bins=(first, second, third),
        alarming_from=_grade(),
        review_margin=read_share("review_margin"),
        finding_margin=read_share("finding_margin"),
        source=need_line("source", longest=LONGEST_SOURCE),
    )
    check_thresholds(found)
    return found


def _grade() -> Grade:
    try:
        return Grade(request.form.get("alarming_from", ""))
    except ValueError as error:
        raise InvalidRequest(f"Expected one of the grades {', '.join(Grade)}.") from error


def _typed(one: Thresholds) -> dict[str, str]:
    """Return a set as its form has it, shares in percent."""
    shares = {
        "finding_from": one.finding_from,
        **{f"bin_{number}": cut for number, cut in enumerate(one.bins, start=2)},
        "review_margin": one.review_margin,
        "finding_margin": one.finding_margin,
    }
    return {
        "version": one.version,
        **{name: _percent(share) for name, share in shares.items()},
        "alarming_from": one.alarming_from,
        "source": one.source,
    }


def _percent(share: float) -> str:
    # By way of the shortest text that means the number: 0.07 is 7, not 7.000000000000001.
    return f"{(Decimal(str(share)) * 100).normalize():f}"


def _count(changes: Iterable[Change]) -> int:
    return sum(change.count for change in changes)


def _see(version: str) -> Response:
    return see("dashboard.admin.thresholds.show", version=version)
