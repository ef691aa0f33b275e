"""The way in and out: who gets in, who does not, and what a browser is left with."""

import re
from datetime import timedelta

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from api import person as api_person
from api.dashboard.door import MOST_TRIES
from api.turnstile import Turnstile
from db.session import Sessions
from db.tables import AuditRow, SignInRow, TenantRow, UserRow, now
from db.users import MOST_FAILURES, add_user, grant, invite
from hilum.audit import Action
from hilum.people import Role
from tests.api.dashboard.conftest import PASSWORD, Welcome
from tests.api.dashboard.visitor import HTML, Visitor, words

CHOSEN = "a long enough phrase"


@pytest.fixture
def invitation(sessions: Sessions, tenant: TenantRow) -> str:
    """The link of somebody who was just added."""
    with sessions.begin() as session:
        user = add_user(session, "nina")
        grant(session, user, Role.READER, tenant.id)
        return f"/welcome?token={invite(session, user)}"


def choose(visitor: Visitor, link: str, password: str, again: str | None = None) -> int:
    token = link.partition("token=")[2]
    form = {"token": token, "password": password, "again": again or password}
    return visitor.post("/welcome", form, token="").status_code


@pytest.mark.usefixtures("reader")
def test_page_leads_to_the_sign_in_and_back(nobody: Visitor) -> None:
    answer = nobody.get("/cases", state="queued")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?to=/cases?state%3Dqueued"
    page = nobody.get(answer.headers["Location"])
    assert 'name="to" value="/cases?state=queued"' in page.text
    entered = nobody.sign_in("rita.reader", PASSWORD, to="/cases?state=queued")
    assert entered.headers["Location"] == "/cases?state=queued"
    assert nobody.get("/cases").status_code == 200


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\/evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "javascript:x",
        "",
    ],
)
@pytest.mark.usefixtures("reader")
def test_sign_in_leads_to_no_other_site(nobody: Visitor, to: str) -> None:
    answer = nobody.sign_in("rita.reader", PASSWORD, to=to)

    assert answer.headers["Location"] == "/cases"


@pytest.mark.usefixtures("reader")
def test_cookie_is_for_this_site_and_no_script(nobody: Visitor) -> None:
    cookie = nobody.sign_in("rita.reader", PASSWORD).headers["Set-Cookie"]

    assert re.match(r"hilum=[\w-]{43};", cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


@pytest.mark.usefixtures("reader")
def test_cookie_over_tls_is_bound_to_this_host(nobody: Visitor) -> None:
    form = {"name": "rita.reader", "password": PASSWORD}
    answer = nobody.client.post("/sign-in", data=form, base_url="https://localhost")

    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-hilum=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.usefixtures("reader")
def test_nobody_can_choose_the_cookie_of_a_sign_in(nobody: Visitor) -> None:
    nobody.client.set_cookie("hilum", "chosen-by-somebody-else")

    nobody.sign_in("rita.reader", PASSWORD)

    cookie = nobody.client.get_cookie("hilum")
    assert cookie is not None
    assert cookie.value != "chosen-by-somebody-else"


@pytest.mark.usefixtures("reader")
def test_unknown_name_and_wrong_password_are_answered_alike(nobody: Visitor) -> None:
    unknown = nobody.sign_in("who", PASSWORD)
    wrong = nobody.sign_in("rita.reader", "something else entirely")

    assert unknown.status_code == wrong.status_code == 401
    assert words(unknown) == words(wrong)
    assert "do not belong together" in words(wrong)


@pytest.mark.usefixtures("reader")
def test_name_is_the_same_however_it_is_capitalised(nobody: Visitor) -> None:
    assert nobody.sign_in(" Rita.Reader ", PASSWORD).status_code == 303


def test_many_wrong_passwords_lock_somebody_out_for_a_while(
    reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    for _ in range(MOST_FAILURES):
        nobody.sign_in("rita.reader", "wrong")

    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 401
    with sessions.begin() as session:
        session.execute(update(UserRow).values(locked_until=now() - timedelta(seconds=1)))
    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 303
    assert reader.get("/cases").status_code == 200


def test_one_address_tries_so_often_in_a_minute(nobody: Visitor) -> None:
    answers = [nobody.sign_in(f"name-{number}", "x") for number in range(MOST_TRIES + 1)]

    assert [answer.status_code for answer in answers] == [401] * MOST_TRIES + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "the next one is taken in" in words(answers[-1])


def test_one_person_asks_so_often_in_a_minute(
    reader: Visitor, operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_person, "MOST_REQUESTS", 3)

    answers = [reader.get("/send") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert operator.get("/send").status_code == 200


@pytest.mark.usefixtures("reader")
def test_sign_ins_are_taken_while_redis_is_away(
    nobody: Visitor, app: APIFlask, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Turnstile("redis://127.0.0.1:1/0")
    monkeypatch.setattr(type(app.extensions["hilum"]), "turnstile", away, raising=False)

    assert nobody.sign_in("rita.reader", PASSWORD).status_code == 303


def test_who_leaves_has_left_wherever_the_cookie_was_copied_to(reader: Visitor) -> None:
    cookie = reader.client.get_cookie("hilum")
    assert cookie is not None

    answer = reader.post("/sign-out")

    assert answer.headers["Location"] == "/sign-in"
    reader.client.set_cookie("hilum", cookie.value)
    assert reader.get("/cases").status_code == 303


def test_silence_ends_a_sign_in(reader: Visitor, sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(seen_at=now() - timedelta(minutes=31)))

    assert reader.get("/cases").status_code == 303


@pytest.mark.parametrize(
    ("method", "headers", "wanted"),
    [
        (
            "get",
            {"HX-Request": "true", "HX-Current-URL": "http://localhost/cases?a=1#x"},
            "/cases?a%3D1",
        ),
        ("get", {"HX-Request": "true", "HX-Current-URL": "http://evil.example/cases"}, None),
        ("get", {"HX-Request": "true", "HX-Current-URL": "http://["}, None),
        ("get", {"HX-Request": "true"}, None),
        ("post", {"Referer": "http://localhost/cases/1?a=1"}, "/cases/1?a%3D1"),
        ("post", {"Referer": "http://evil.example/cases"}, None),
        ("post", {}, None),
    ],
)
def test_who_was_signed_out_comes_back_to_the_page_and_hears_why(
    reader: Visitor, sessions: Sessions, method: str, headers: dict[str, str], wanted: str | None
) -> None:
    assert "signed out" not in words(reader.get("/sign-in"))
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(seen_at=now() - timedelta(minutes=31)))

    path = "/cases/rows" if method == "get" else "/cases/filters"
    answer = reader.client.open(path, method=method, headers={"Accept": "text/html"} | headers)

    way = answer.headers.get("HX-Redirect") or answer.headers["Location"]
    assert way == ("/sign-in" if wanted is None else f"/sign-in?to={wanted}")
    assert "once nothing was done for 30 minutes" in words(reader.get(way))


def test_who_was_never_in_was_not_signed_out(nobody: Visitor) -> None:
    assert "signed out" not in words(nobody.get("/sign-in"))


def test_a_page_s_own_clock_keeps_nobody_signed_in(reader: Visitor, sessions: Sessions) -> None:
    long_ago = now() - timedelta(minutes=20)
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(seen_at=long_ago))

    reader.client.get("/cases", headers={"X-Hilum-Poll": "1"})

    with sessions.begin() as session:
        assert session.scalars(select(SignInRow.seen_at)).one() == long_ago
    reader.get("/cases")
    with sessions.begin() as session:
        assert session.scalars(select(SignInRow.seen_at)).one() > long_ago


def test_no_sign_in_outlasts_a_shift(reader: Visitor, sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(created_at=now() - timedelta(hours=12)))

    assert reader.get("/cases").status_code == 303


def test_sign_ins_that_have_ended_are_forgotten_with_the_next(
    reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    assert reader
    long_ago = now() - timedelta(hours=13)
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(created_at=long_ago, seen_at=long_ago))

    nobody.sign_in("rita.reader", PASSWORD)

    with sessions.begin() as session:
        assert len(session.scalars(select(SignInRow)).all()) == 1


def test_who_was_invited_chooses_a_password_and_is_in(nobody: Visitor, invitation: str) -> None:
    assert "Welcome, nina" in words(nobody.get(invitation))

    assert choose(nobody, invitation, CHOSEN) == 303

    assert nobody.get("/cases").status_code == 200
    assert choose(nobody, invitation, CHOSEN) == 410
    nobody.post("/sign-out")
    assert nobody.sign_in("nina", CHOSEN).status_code == 303


def test_looking_at_an_invitation_does_not_use_it_up(nobody: Visitor, invitation: str) -> None:
    for _ in range(3):
        assert nobody.get(invitation).status_code == 200


def test_who_was_invited_may_choose_later(nobody: Visitor, invitation: str) -> None:
    form = {"token": invitation.partition("token=")[2], "later": "1"}

    assert nobody.post("/welcome", form, token="").status_code == 303

    assert nobody.get("/cases").status_code == 200
    assert nobody.get(invitation).status_code == 410


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "expected 12-128"),
        ("x" * 129, "x" * 129, "expected 12-128"),
        (CHOSEN, CHOSEN + "!", "differ"),
        ("my name is nina", "my name is nina", "holds the name"),
    ],
)
def test_bad_password_is_explained_and_the_link_stays_good(
    nobody: Visitor, invitation: str, password: str, again: str, said: str
) -> None:
    form = {"token": invitation.partition("token=")[2], "password": password, "again": again}

    answer = nobody.post("/welcome", form, token="")

    assert answer.status_code == 422
    assert said in words(answer)
    assert password not in answer.text
    assert choose(nobody, invitation, CHOSEN) == 303


@pytest.mark.parametrize("token", ["", "made-up", "x" * 5000, "\x00", "é"])
def test_made_up_invitation_says_what_to_do(nobody: Visitor, token: str) -> None:
    answer = nobody.get("/welcome", token=token)

    assert answer.status_code == 410
    assert "Ask for another one" in words(answer)


def test_new_password_signs_out_everywhere_else(
    come: Welcome, nobody: Visitor, sessions: Sessions
) -> None:
    elsewhere = come("olaf", Role.READER)
    with sessions.begin() as session:
        link = f"/welcome?token={invite(session, session.scalars(select(UserRow)).one())}"

    choose(nobody, link, CHOSEN)

    assert elsewhere.get("/cases").status_code == 303
    assert nobody.get("/cases").status_code == 200


@pytest.mark.usefixtures("reader")
def test_form_of_another_site_signs_nobody_in(nobody: Visitor) -> None:
    form = {"name": "rita.reader", "password": PASSWORD}
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = nobody.client.post("/sign-in", data=form, headers={"Accept": HTML} | foreign)

        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_form_without_the_token_of_this_sign_in_is_refused(reader: Visitor, token: str) -> None:
    answer = reader.post("/sign-out", token=token)

    assert answer.status_code == 403
    assert reader.get("/cases").status_code == 200


def test_link_opens_no_account_unnoticed_that_has_a_password(
    reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        token = invite(session, session.scalars(select(UserRow)).one())

    page = nobody.get("/welcome", token=token)
    answer = nobody.post("/welcome", {"token": token, "later": "1"}, token="")

    assert "just this once" not in page.text
    assert answer.status_code == 422
    assert nobody.get("/cases").status_code == 303
    assert reader.get("/cases").status_code == 200


@pytest.mark.parametrize("name", ["a\x00b", "é" * 300, " "])
def test_name_that_is_none_is_nobody_s(nobody: Visitor, name: str) -> None:
    assert nobody.sign_in(name, PASSWORD).status_code == 401


def test_small_pictures_are_no_sign_of_a_person(
    reader: Visitor, finished: str, sessions: Sessions
) -> None:
    long_ago = now() - timedelta(minutes=20)
    with sessions.begin() as session:
        session.execute(update(SignInRow).values(seen_at=long_ago))

    reader.get(f"/v1/reports/{finished}/thumbnail.png")

    with sessions.begin() as session:
        assert session.scalars(select(SignInRow.seen_at)).one() == long_ago


def test_who_comes_goes_and_fails_is_in_the_audit_log(
    reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    nobody.sign_in("rita.reader", "wrong")
    nobody.sign_in("my-password-typed-here", PASSWORD)
    reader.post("/sign-out")

    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert [(row.by, row.action) for row in rows] == [
        ("user rita.reader", Action.SIGNED_IN),
        ("user rita.reader", Action.SIGN_IN_FAILED),
        ("somebody", Action.SIGN_IN_FAILED),
        ("user rita.reader", Action.SIGNED_OUT),
    ]
    assert {row.address for row in rows} == {"127.0.0.1"}


def test_token_of_somebody_else_is_refused(reader: Visitor, operator: Visitor) -> None:
    assert reader.post("/sign-out", token=operator.token()).status_code == 403
