"""Plain pages: what they show, and to whom."""

import re
from html import unescape
from uuid import UUID

import pytest

from db.claims import claim_job, fail_job
from db.session import Sessions
from db.tables import TenantRow
from hilum.errors import MissingKey, WrongKey
from tests.api.caller import Answer, Caller


def words(answer: Answer) -> str:
    assert answer.headers["Content-Type"].startswith("text/html")
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def page_of(caller: Caller, job_id: str) -> str:
    link: str = caller.get(f"/v1/jobs/{job_id}").json["links"]["page"]
    return link


def sign_in(anyone: Caller, key: str) -> Answer:
    return Answer.of(anyone.client.post("/", data={"key": key}))


def test_status_page_tells_anyone_of_the_system_alone(anyone: Caller, finished: str) -> None:
    answer = anyone.get("/")

    text = words(answer)
    assert "Database, queue, workers and disk are well" in text
    assert "1 succeeded" in text
    assert finished not in answer.text
    assert "Alarming" not in text
    assert "Mild" not in text


def test_key_opens_the_list_of_its_hospital_without_a_cookie(
    anyone: Caller, finished: str, key: str
) -> None:
    answer = sign_in(anyone, key)

    assert answer.status == 303
    assert "Set-Cookie" not in answer.headers
    assert key not in answer.headers["Location"]
    shown = anyone.get(answer.headers["Location"])
    assert finished in shown.text
    assert "Mild CT-1 10.0 %" in words(shown)


def test_list_of_a_hospital_holds_no_other_s_jobs(
    anyone: Caller, stranger: Caller, finished: str
) -> None:
    assert stranger.key is not None
    answer = sign_in(anyone, stranger.key)

    shown = anyone.get(answer.headers["Location"])
    assert finished not in shown.text
    assert "0 succeeded" in words(shown)


@pytest.mark.parametrize(("key", "code"), [("", MissingKey.code), ("nonsense", WrongKey.code)])
def test_wrong_key_is_answered_with_a_page(anyone: Caller, key: str, code: str) -> None:
    answer = sign_in(anyone, key)

    assert answer.status == 401
    assert code in words(answer)


def test_link_from_the_list_opens_the_page_of_a_job(
    anyone: Caller, finished: str, key: str
) -> None:
    shown = anyone.get(sign_in(anyone, key).headers["Location"])
    [link] = re.findall(rf'href="(/jobs/{finished}[^"]+)"', shown.text)

    assert anyone.get(unescape(link)).status == 200


def test_page_of_a_finished_job_shows_what_was_found(
    caller: Caller, anyone: Caller, finished: str
) -> None:
    answer = anyone.get(page_of(caller, finished))

    text = words(answer)
    assert "Mild · CT-1 · 10.0 % of the lungs" in text
    assert "1 consolidation right 12.5 0.3 % -120 3-5 0.90" in text
    assert "Right 2000 200.0 10.0 % CT-1" in text
    assert "For research." in text
    assert 'http-equiv="refresh"' not in answer.text


def test_everything_a_page_refers_to_opens_without_a_key(
    caller: Caller, anyone: Caller, finished: str
) -> None:
    answer = anyone.get(page_of(caller, finished))

    linked = {unescape(link) for link in re.findall(r'(?:href|src)="([^"]+)"', answer.text)}
    assert len(linked) > 8
    assert {link: anyone.get(link).status for link in linked} == dict.fromkeys(linked, 200)
    assert all(link.startswith("/") for link in linked)


def test_page_of_a_waiting_job_comes_back_by_itself(
    caller: Caller, anyone: Caller, archive: bytes
) -> None:
    answer = anyone.get(page_of(caller, caller.send(archive).json["id"]))

    assert "Next in the queue" in words(answer)
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    assert "/stream?token=" in answer.text
    assert "live.js" in answer.text


def test_pages_may_run_their_own_script_and_ask_their_own_server(anyone: Caller) -> None:
    policy = anyone.get("/").headers["Content-Security-Policy"]

    assert "script-src 'self'" in policy
    assert "connect-src 'self'" in policy


def test_link_to_one_job_does_not_open_the_list(
    caller: Caller, anyone: Caller, finished: str
) -> None:
    token = page_of(caller, finished).partition("token=")[2]

    answer = anyone.get("/", token=token)

    assert answer.status == 401
    assert finished not in answer.text


def test_page_of_a_failed_job_says_why(
    caller: Caller, anyone: Caller, archive: bytes, sessions: Sessions
) -> None:
    job_id = caller.send(archive).json["id"]
    with sessions.begin() as session:
        claim = claim_job(session, UUID(job_id), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        fail_job(session, claim, "missing_slices", "5.0 mm are <missing>.")

    answer = anyone.get(page_of(caller, job_id))

    assert "missing_slices" in words(answer)
    assert "5.0 mm are &lt;missing&gt;." in answer.text


def test_page_opens_for_its_own_job_alone(
    caller: Caller, anyone: Caller, finished: str, tenant: TenantRow
) -> None:
    token = page_of(caller, finished).partition("token=")[2]

    other = anyone.get(f"/jobs/{tenant.id}", token=token)

    assert other.status == 404
    assert "unknown_job" in words(other)


@pytest.mark.parametrize("query", ["", "?token=", "?token=made-up"])
def test_page_without_a_link_says_so(anyone: Caller, finished: str, query: str) -> None:
    answer = anyone.get(f"/jobs/{finished}{query}")

    assert answer.status == 401
    assert "links.page" not in answer.text


def test_status_page_with_a_made_up_link_says_so(anyone: Caller) -> None:
    answer = anyone.get("/?token=made-up")

    assert answer.status == 401
    assert "wrong_key" in words(answer)


@pytest.mark.parametrize("path", ["/", "/problems", "/docs"])
def test_pages_load_nothing_from_elsewhere(anyone: Caller, path: str) -> None:
    answer = anyone.get(path)

    assert not re.findall(r'(?:href|src|action)="(?!/)(?!#)[^"]*"', answer.text)
    assert "<script>" not in answer.text
    assert "style=" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
