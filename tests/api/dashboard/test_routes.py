"""Every page and every form: closed to nobody in particular, to other hospitals, and to forged forms."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from apiflask import APIFlask
from sqlalchemy import select, text

from db.session import Sessions
from db.tables import KeyRow, Row, TenantRow, UserRow
from tests.api.dashboard.visitor import Visitor

Ids = dict[str, str]


@pytest.fixture
def ids(
    finished: str,
    told: dict[str, str],
    tenant: TenantRow,
    reader: Visitor,
    sessions: Sessions,
) -> Ids:
    """What addresses are filled with: rows of the hospital `tenant`, or what is nowhere."""
    assert reader
    with sessions.begin() as session:
        key = session.scalars(select(KeyRow).where(KeyRow.tenant_id == tenant.id)).first()
        user = session.scalars(select(UserRow).where(UserRow.name == "rita.reader")).one()
    assert key is not None
    nowhere = {name: str(uuid4()) for name in ("destination_id", "purge_id", "filter_id")}
    return nowhere | {
        "job_id": finished,
        "other_id": finished,
        "tenant_id": str(tenant.id),
        "key_id": str(key.id),
        "user_id": str(user.id),
        "webhook_id": told["webhook_id"],
        "notice_id": told["delivery_id"],
        "version": "not-there",
        "name": "verdicts",
    }


def addresses(app: APIFlask, ids: Ids, method: str) -> Iterator[str]:
    """Yield the address of every page, or of every form."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard.") and method in (rule.methods or ()):
            first = re.sub(r"<any\((\w+)[^)]*\):\w+>", r"\1", rule.rule)
            yield re.sub(r"<(?:\w+:)?(\w+)>", lambda found: ids[found[1]], first)


def rows(sessions: Sessions) -> dict[str, int]:
    """Return how many rows each table has, but those that signing in and being refused write."""
    own = {"audit", "sign_ins"}
    with sessions.begin() as session:
        return {
            name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608 - names of our own
            for name in Row.metadata.tables
            if name not in own
        }


def test_every_page_leads_who_is_not_signed_in_to_the_door(
    app: APIFlask, nobody: Visitor, ids: Ids
) -> None:
    answers = {path: nobody.get(path) for path in addresses(app, ids, "GET")}

    assert len(answers) > 25
    assert {answer.status_code for answer in answers.values()} == {303}
    assert all(answer.headers["Location"].startswith("/sign-in") for answer in answers.values())


def test_nothing_about_one_hospital_is_there_for_another(
    app: APIFlask, outsider: Visitor, ids: Ids, sessions: Sessions
) -> None:
    before = rows(sessions)
    about_one = [
        (method, path)
        for method in ("GET", "POST")
        for path in addresses(app, ids, method)
        if any(one in path for one in ids.values())
    ]

    answers = {
        (method, path): outsider.get(path) if method == "GET" else outsider.post(path)
        for method, path in about_one
        # Figures of one's own hospitals, and lists that one keeps oneself.
        if not path.startswith(("/insights/", "/cases/filters/"))
    }

    assert len(answers) > 25
    # What a form lacks may be said first: that tells nothing of whom it is about.
    seen = {each: answer.status_code for each, answer in answers.items()}
    assert {each: status for each, status in seen.items() if status not in {403, 404, 422}} == {}
    assert {status for (method, _), status in seen.items() if method == "GET"} <= {403, 404}
    assert rows(sessions) == before


def test_no_page_of_many_shows_what_is_another_hospital_s(
    app: APIFlask, outsider: Visitor, ids: Ids
) -> None:
    of_many = [
        path for path in addresses(app, ids, "GET") if not any(one in path for one in ids.values())
    ]

    pages = {path: outsider.get(path) for path in of_many}

    hidden = [ids["job_id"], ids["tenant_id"], "st-vincent", "Phantom", "rita.reader"]
    found = {path: [word for word in hidden if word in page.text] for path, page in pages.items()}
    assert {path: words for path, words in found.items() if words} == {}
    assert {page.status_code for page in pages.values()} <= {200, 302, 403}


def test_no_form_does_anything_without_the_token_of_its_sign_in(
    app: APIFlask, admin: Visitor, ids: Ids, sessions: Sessions
) -> None:
    before = rows(sessions)

    answers = {path: admin.post(path, token="0" * 64) for path in addresses(app, ids, "POST")}

    assert len(answers) > 25
    assert {answer.status_code for answer in answers.values()} == {403}
    assert rows(sessions) == before


def test_every_page_bears_a_huge_and_a_nonsensical_query(
    app: APIFlask, admin: Visitor, ids: Ids
) -> None:
    nonsense = {"text": "x" * 5000, "cursor": "\x00", "state": "<i>x", "sort": "-", "days": "-1"}

    answers = {path: admin.get(path, **nonsense) for path in addresses(app, ids, "GET")}

    failed = {path: answer.status_code for path, answer in answers.items()}
    assert {path: status for path, status in failed.items() if status >= 500} == {}
    assert not [path for path, answer in answers.items() if "<i>x" in answer.text]
