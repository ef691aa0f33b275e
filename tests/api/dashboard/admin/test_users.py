"""Who may administer whom, and what becomes of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from db.session import Sessions
from db.tables import AuditRow, TenantRow, UserRow
from db.users import MOST_FAILURES, add_user, grant, user_named
from hilum.people import Role
from tests.api.dashboard.conftest import PASSWORD, Welcome
from tests.api.dashboard.visitor import Visitor, words

USERS = "/admin/users"
CHOSEN = "a long enough phrase"


def form(name: str, tenant: TenantRow | None, role: Role = Role.READER) -> dict[str, str]:
    return {"name": name, "role": role, "tenant": str(tenant.id) if tenant else "everywhere"}


def page_of(sessions: Sessions, name: str) -> str:
    with sessions.begin() as session:
        return f"{USERS}/{user_named(session, name).id}"


def roles_of(sessions: Sessions, name: str) -> set[tuple[UUID | None, str]]:
    with sessions.begin() as session:
        return {(one.tenant_id, one.role) for one in user_named(session, name).grants}


def link_in(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    found = re.search(r'value="http://localhost(/welcome\?token=[\w-]+)"', answer.text)
    assert found, answer.text
    return found[1]


def choose(visitor: Visitor, link: str) -> int:
    new = {"token": link.partition("token=")[2], "password": CHOSEN, "again": CHOSEN}
    return visitor.post("/welcome", new, token="").status_code


# ── Adding ────────────────────────────────────────────────────────────────────────────────────


def test_somebody_who_is_added_comes_in_by_the_link(
    chief: Visitor, nobody: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    link = link_in(chief.post(USERS, form("Nina", tenant)))

    assert choose(nobody, link) == 303
    assert roles_of(sessions, "nina") == {(tenant.id, "reader")}
    assert "nina" in words(chief.get(USERS))
    assert link not in chief.get(USERS).text


def test_form_that_is_sent_twice_adds_one(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    chief.post(USERS, form("nina", tenant))

    again = chief.post(USERS, form("nina", tenant))

    assert again.status_code == 422
    assert "There is a user 'nina' already" in words(again)
    assert "/welcome?token=" not in again.text
    assert roles_of(sessions, "nina") == {(tenant.id, "reader")}


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 65, "<script>alert(1)</script>", "a\x00b", "a\nb", "é", "-a"]
)
def test_name_that_nobody_signs_in_with_is_refused(
    chief: Visitor, tenant: TenantRow, sessions: Sessions, name: str
) -> None:
    answer = chief.post(USERS, form(name, tenant))

    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    with sessions.begin() as session:
        assert len(session.scalars(select(UserRow)).all()) == 1


def test_body_of_a_megabyte_is_refused(chief: Visitor, tenant: TenantRow) -> None:
    assert chief.post(USERS, form("x" * 2**20, tenant)).status_code == 413


@pytest.mark.parametrize("role", ["", "owner", "ADMIN"])
def test_role_that_is_none_is_refused(chief: Visitor, tenant: TenantRow, role: str) -> None:
    assert chief.post(USERS, form("nina", tenant) | {"role": role}).status_code == 422


@pytest.mark.parametrize("where", ["", "nowhere", str(uuid4())])
def test_hospital_that_is_none_is_refused(chief: Visitor, tenant: TenantRow, where: str) -> None:
    answer = chief.post(USERS, form("nina", tenant) | {"tenant": where})

    assert answer.status_code in {404, 422}


# ── Who may ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["reader", "operator"])
def test_who_does_not_administer_finds_no_such_page(
    who: str, request: pytest.FixtureRequest, tenant: TenantRow
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    assert visitor.get(USERS).status_code == 403
    assert visitor.post(USERS, form("nina", tenant)).status_code == 403
    assert "/admin" not in visitor.get("/cases").text


def test_nobody_gives_a_role_where_they_have_none(
    chief: Visitor, elsewhere: TenantRow, sessions: Sessions
) -> None:
    foreign = chief.post(USERS, form("nina", elsewhere))
    everywhere = chief.post(USERS, form("nina", None))
    own = page_of(sessions, "clara.chief")
    raised = chief.post(f"{own}/role", {"role": "admin", "tenant": "everywhere"})

    assert (foreign.status_code, everywhere.status_code, raised.status_code) == (404, 403, 403)
    with sessions.begin() as session:
        assert len(session.scalars(select(UserRow)).all()) == 1


def test_hospital_sees_its_own_people_and_their_roles_there_alone(
    chief: Visitor, admin: Visitor, outsider: Visitor, elsewhere: TenantRow, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        grant(session, user_named(session, "clara.chief"), Role.READER, elsewhere.id)

    seen = words(chief.get(USERS))

    assert "ada.admin" not in seen
    assert "olga.outsider" not in seen
    own = chief.get(page_of(sessions, "clara.chief"))
    assert str(elsewhere.id) not in own.text
    assert "only who administers all of them may change the account" in words(own)
    assert "ada.admin" in words(admin.get(USERS))
    for name in ("ada.admin", "olga.outsider"):
        assert chief.get(page_of(sessions, name)).status_code == 404
    assert outsider.get(USERS).status_code == 200


@pytest.mark.parametrize("deed", ["role", "link", "disable", "enable", "unlock", "leave"])
def test_foreign_and_unknown_people_cannot_be_changed(
    chief: Visitor, outsider: Visitor, tenant: TenantRow, sessions: Sessions, deed: str
) -> None:
    change = {"role": "admin", "tenant": str(tenant.id)}
    foreign = page_of(sessions, "olga.outsider")

    for page in (foreign, f"{USERS}/{uuid4()}"):
        assert chief.post(f"{page}/{deed}", change).status_code == 404
    assert outsider.get(USERS).status_code == 200


@pytest.mark.parametrize("deed", ["link", "disable", "unlock", "leave"])
def test_account_of_somebody_who_works_elsewhere_too_is_not_a_hospitals_to_change(
    chief: Visitor,
    come: Welcome,
    tenant: TenantRow,
    elsewhere: TenantRow,
    sessions: Sessions,
    deed: str,
) -> None:
    both = come("bo", Role.READER, tenant.id)
    with sessions.begin() as session:
        grant(session, user_named(session, "bo"), Role.ADMIN, elsewhere.id)

    answer = chief.post(f"{page_of(sessions, 'bo')}/{deed}")

    assert answer.status_code == 403
    assert "/welcome?token=" not in answer.text
    assert both.get("/cases").status_code == 200


# ── What is done ──────────────────────────────────────────────────────────────────────────────


def test_role_is_given_changed_and_taken_away(
    chief: Visitor, reader: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = page_of(sessions, "rita.reader")
    given = chief.post(f"{page}/role", {"role": "operator", "tenant": str(tenant.id)})
    held = roles_of(sessions, "rita.reader")
    seen = reader.get("/cases").status_code
    taken = [chief.post(f"{page}/role", {"role": "", "tenant": str(tenant.id)}) for _ in range(2)]

    assert given.headers["Location"] == page
    assert (held, seen) == ({(tenant.id, "operator")}, 200)
    assert [answer.status_code for answer in taken] == [303, 404]
    assert taken[0].headers["Location"] == USERS
    assert roles_of(sessions, "rita.reader") == set()
    assert reader.get("/cases").status_code == 403


def test_role_that_was_taken_away_by_mistake_is_given_back(
    chief: Visitor, operator: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = page_of(sessions, "otto.operator")
    gone = {"role": "", "tenant": str(tenant.id)}
    assert chief.post(f"{page}/role", gone).status_code == 303
    assert operator.get("/queue").status_code == 403

    answer = chief.post(USERS, form("otto.operator", tenant, Role.OPERATOR))

    assert answer.headers["Location"] == page
    assert operator.get("/queue").status_code == 200


def test_somebody_is_signed_out_kept_out_and_let_in_again(
    chief: Visitor, reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    page = page_of(sessions, "rita.reader")

    assert chief.post(f"{page}/leave").status_code == 303
    assert reader.get("/cases").status_code == 303
    for _ in range(2):
        assert chief.post(f"{page}/disable").status_code == 303
    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 401
    assert "disabled" in words(chief.get(page))
    assert chief.post(f"{page}/enable").status_code == 303
    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 303


def test_somebody_who_is_locked_out_is_let_in(
    chief: Visitor, reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    for _ in range(MOST_FAILURES):
        nobody.sign_in("rita.reader", "wrong")
    page = page_of(sessions, "rita.reader")
    locked = words(chief.get(page))

    chief.post(f"{page}/unlock")

    assert "locked until" in locked
    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 303
    assert reader.get("/cases").status_code == 200


def test_new_link_makes_the_one_before_void(
    chief: Visitor, reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    page = page_of(sessions, "rita.reader")
    first, second = (link_in(chief.post(f"{page}/link")) for _ in range(2))

    assert choose(nobody, first) == 410
    assert choose(nobody, second) == 303
    assert reader.get("/cases").status_code == 303


def test_nobody_keeps_themselves_out(chief: Visitor, sessions: Sessions) -> None:
    answer = chief.post(f"{page_of(sessions, 'clara.chief')}/disable")

    assert answer.status_code == 422
    assert "keep yourself out" in words(answer)


@pytest.mark.parametrize("role", ["", "reader"])
def test_last_who_administers_everything_stays(
    admin: Visitor, chief: Visitor, sessions: Sessions, role: str
) -> None:
    with sessions.begin() as session:
        # Invited, and not yet able to come in.
        grant(session, add_user(session, "nina"), Role.ADMIN, None)
    page = page_of(sessions, "ada.admin")

    answer = admin.post(f"{page}/role", {"role": role, "tenant": "everywhere"})

    assert answer.status_code == 422
    assert "Nobody would administer everything" in words(answer)
    assert roles_of(sessions, "ada.admin") == {(None, "admin")}
    assert chief.get(USERS).status_code == 200


def test_of_two_who_take_each_others_rights_at_once_one_stays(
    come: Welcome, sessions: Sessions
) -> None:
    one, other = come("ada", Role.ADMIN), come("eve", Role.ADMIN)
    change = {"role": "", "tenant": "everywhere"}
    tries = [(one, page_of(sessions, "eve")), (other, page_of(sessions, "ada"))]
    tokens = [visitor.token() for visitor, _ in tries]

    def take(number: int) -> int:
        visitor, page = tries[number]
        return visitor.post(f"{page}/role", change, token=tokens[number]).status_code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(take, range(2)))

    assert 303 in answers
    assert len(roles_of(sessions, "ada") | roles_of(sessions, "eve")) == 1


def test_what_is_done_stands_in_the_log_without_a_secret(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    link = link_in(chief.post(USERS, form("nina", tenant)))
    page = page_of(sessions, "nina")
    chief.post(f"{page}/disable")
    chief.post(f"{page}/role", {"role": "", "tenant": str(tenant.id)})

    with sessions.begin() as session:
        entries = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    told = [(one.by, one.action, one.tenant_id, one.detail) for one in entries]
    mine = [one for one in told if one[1].startswith("user.") and "clara" in one[0]]
    assert mine == [
        ("user clara.chief", "user.added", tenant.id, {"role": "reader"}),
        ("user clara.chief", "user.changed", tenant.id, {"change": "disable"}),
        ("user clara.chief", "user.changed", tenant.id, {"role": None}),
    ]
    assert link.partition("token=")[2] not in str([one.__dict__ for one in entries])
