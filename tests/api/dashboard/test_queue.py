"""The page of queue and workers: what it shows, to whom, and what may be done from it."""

import re
import sys
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from api.parts import Parts
from db.attempts import keep_crash
from db.claims import fail_job
from db.pauses import list_pauses, pause_queue
from db.session import Sessions
from db.tables import AuditRow, DrainRow, JobRow, TenantRow
from db.workers import Load, Work, heartbeat
from hilum.audit import Action
from hilum.jobs import Priority, State
from hilum.people import Role
from hilum.workers import WorkerState
from tests.api.dashboard.conftest import Welcome
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_attempts import CRASH
from tests.db.test_troubles import failed_job, quarantined_job
from tests.db.test_workers import make_worker


@pytest.fixture
def keeper(come: Welcome) -> Visitor:
    """Who keeps the queues of all hospitals moving."""
    return come("kim.keeper", Role.OPERATOR)


def actions(sessions: Sessions) -> list[tuple[str, str, UUID | None]]:
    """Return what was done beside signing in, by whom and in which hospital."""
    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    done = [(row.action, row.by, row.tenant_id) for row in rows]
    return [one for one in done if not one[0].startswith("session.")]


def state_of(sessions: Sessions, job: JobRow) -> State:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id).state


def make_busy(sessions: Sessions, tenant: TenantRow) -> tuple[JobRow, JobRow]:
    """Have a job that runs, and one that waits; return them."""
    with sessions.begin() as session:
        running = queue_job(session, tenant.id)
        claim(session, running, worker="ward-3:18")
        waiting = queue_job(session, tenant.id, priority=Priority.STAT, slice_count=300)
        load = Load(["ward@1.0.0"], 3 * 2**30, 2**33, 2**35, 0.75)
        heartbeat(session, make_worker("ward-3:17"), Work(WorkerState.BUSY, running.id), load)
    return running, waiting


# ── Showing ───────────────────────────────────────────────────────────────────────────────────


def test_page_shows_what_waits_what_runs_and_who_runs_it(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    running, _ = make_busy(sessions, tenant)
    with sessions.begin() as session:
        finished_job(session, tenant.id)

    said = words(keeper.get("/queue"))

    assert "1 waiting" in said
    assert "1 running" in said
    assert "1 done in the last hour" in said
    assert re.search(r"stat st-vincent 1 1 300 \d s", said)
    assert f"{str(running.id)[:8]} st-vincent routine resnet50 starting" in said
    assert re.search(
        r"ward-3:17 ▶ busy Drain ward-3:17 \w{8} cuda:0 NVIDIA A30 ward@1.0.0 3.0 GiB", said
    )
    assert "GPU 8.0 GiB of 32.0 GiB" in said
    assert "75 %" in said


def test_empty_queue_says_so_and_how_a_worker_is_started(keeper: Visitor) -> None:
    said = words(keeper.get("/queue"))

    for sentence in ("Nothing waits.", "Nothing runs.", "hilum worker", "Nothing went wrong."):
        assert sentence in said


def test_part_that_is_shown_anew_is_the_same_as_in_the_page(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    make_busy(sessions, tenant)

    page, part = keeper.get("/queue").text, keeper.get("/queue/live").text

    assert part.lstrip().startswith('<div id="live" hx-get="/queue/live" hx-trigger="every 3s"')
    assert "<html" not in part
    ids = set(re.findall(r' id="([^"]+)"', part))
    assert {"live", "waiting", "running", "workers"} < ids
    assert ids <= set(re.findall(r' id="([^"]+)"', page))


def test_operator_of_one_hospital_sees_the_workers_and_nothing_of_other_hospitals(
    operator: Visitor, sessions: Sessions, tenant: TenantRow, elsewhere: TenantRow
) -> None:
    theirs = make_busy(sessions, elsewhere)
    with sessions.begin() as session:
        theirs += (failed_job(session, elsewhere), finished_job(session, elsewhere.id))
        own = queue_job(session, tenant.id)
        fail_job(session, claim(session, own), "not_axial", "The series is coronal.")

    answers = [operator.get(path) for path in ("/queue", "/queue/live")]

    for answer in answers:
        said = words(answer)
        assert "0 waiting" in said
        assert "0 running" in said
        assert "0 done in a day" in said
        assert "1 failed" in said
        assert "ward-3:17 ▶ busy another hospital's" in said
        assert "elsewhere" not in said
        assert all(str(job.id)[:8] not in answer.text for job in theirs)
        assert "Drain" not in said
    assert str(own.id) in answers[0].text
    assert "Everybody's" not in words(answers[0])


@pytest.mark.parametrize("path", ["/queue", "/queue/live"])
def test_reader_has_no_queue_and_nobody_is_asked_to_sign_in(
    path: str, reader: Visitor, nobody: Visitor
) -> None:
    assert reader.get(path).status_code == 403
    assert "/queue" not in reader.get("/cases").text
    assert nobody.get(path).status_code == 303


def test_script_in_what_people_and_machines_wrote_is_shown_as_text(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    evil = "<script>alert(1)</script>"
    with sessions.begin() as session:
        pause_queue(session, tenant.id, by=f"user {evil}", reason=evil)
        job = queue_job(session, tenant.id)
        crash = {"error": evil, "frames": [evil], "causes": []}
        fail_job(session, claim(session, job, worker=evil), "not_axial", evil, crash=crash)

    page = keeper.get("/queue").text

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 5


@pytest.mark.parametrize(
    "query", [{"state": "succeeded"}, {"state": "x" * 9999}, {"after": "made-up"}, {"after": "é"}]
)
def test_made_up_filter_is_a_plain_page(keeper: Visitor, query: dict[str, str]) -> None:
    answer = keeper.get("/queue", **query)

    assert answer.status_code == 422
    assert "expected" in words(answer) or "cursor" in words(answer)


def test_made_up_outcome_of_a_retry_names_no_code(keeper: Visitor) -> None:
    answer = keeper.get("/queue", retried="x", refused="<b>")

    assert answer.status_code == 200
    assert "again" not in words(answer).partition("Waiting")[0]


# ── What went wrong ───────────────────────────────────────────────────────────────────────────


def test_quarantine_is_shown_with_frames_and_last_signs_of_each_attempt(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = quarantined_job(session, tenant)
        keep_crash(session, job.id, "gpu-1", CRASH | {"error": "Segmentation fault"})
        failed = failed_job(session, tenant)

    said = words(keeper.get("/queue"))
    lost = words(keeper.get("/queue", state="quarantined"))

    assert "Segmentation fault , the innermost call last: hilum/dicom/read.py:41" in said
    assert "Stage before the first It ran for 0 s of 60 min that it may" in said
    assert str(failed.id) in said
    assert str(failed.id) not in lost
    assert str(job.id) in lost


def test_pages_of_what_went_wrong_lead_to_the_oldest(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its package names the blueprint alike.
    monkeypatch.setattr(sys.modules["api.dashboard.queue"], "AT_ONCE", 2)
    jobs = []
    for _ in range(3):
        with sessions.begin() as session:
            jobs.append(failed_job(session, tenant))

    first = keeper.get("/queue").text
    [link] = re.findall(r'href="(/queue\?[^"#]*after=[^"#]+)', first)
    rest = keeper.get(link.replace("&amp;", "&")).text

    assert [str(job.id) in first for job in jobs] == [False, True, True]
    assert [str(job.id) in rest for job in jobs] == [True, False, False]


def test_one_and_all_that_were_chosen_are_tried_again_and_audited(
    operator: Visitor, sessions: Sessions, tenant: TenantRow, parts: Parts
) -> None:
    with sessions.begin() as session:
        jobs = [failed_job(session, tenant), quarantined_job(session, tenant)]

    answer = operator.post("/queue/retry", {"job": [str(job.id) for job in jobs]})

    assert answer.status_code == 303
    assert "2 jobs wait again." in words(operator.get(answer.headers["Location"]))
    assert {state_of(sessions, job) for job in jobs} == {State.QUEUED}
    by = "user otto.operator"
    assert actions(sessions) == [(Action.JOB_RETRIED, by, tenant.id)] * 2
    assert parts


def test_form_that_is_sent_twice_retries_once(
    operator: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = failed_job(session, tenant)

    for _ in range(2):
        answer = operator.post("/queue/retry", {"job": str(job.id)})

    said = words(operator.get(answer.headers["Location"]))
    assert "0 jobs wait again. 1 could not be tried again: not_retriable" in said
    assert len(actions(sessions)) == 1


def test_other_hospitals_jobs_are_unknown_and_hurt_no_own_ones(
    operator: Visitor, sessions: Sessions, tenant: TenantRow, elsewhere: TenantRow
) -> None:
    with sessions.begin() as session:
        own, theirs = failed_job(session, tenant), failed_job(session, elsewhere)
    chosen = [str(own.id), str(theirs.id), str(uuid4())]

    answer = operator.post("/queue/retry", {"job": chosen})

    said = words(operator.get(answer.headers["Location"]))
    assert "1 job waits again. 2 could not be tried again: unknown_job" in said
    assert (state_of(sessions, own), state_of(sessions, theirs)) == (State.QUEUED, State.FAILED)


# ── Pausing and draining ──────────────────────────────────────────────────────────────────────


def test_operator_pauses_and_resumes_the_own_hospital(
    operator: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    form = {"tenant": str(tenant.id), "reason": " The scanner is moved. "}

    answers = [operator.post("/queue/pause", form) for _ in range(2)]
    said = words(operator.get("/queue"))
    resumed = [operator.post("/queue/resume", {"tenant": str(tenant.id)}) for _ in range(2)]

    assert {answer.status_code for answer in answers + resumed} == {303}
    assert "The queue of st-vincent is paused since" in said
    assert "by otto.operator: The scanner is moved." in said
    by = "user otto.operator"
    assert actions(sessions) == [
        (Action.QUEUE_PAUSED, by, tenant.id),
        (Action.QUEUE_RESUMED, by, tenant.id),
    ]
    with sessions.begin() as session:
        assert list_pauses(session) == []


def test_workers_are_called_at_once_when_a_queue_is_resumed(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow, rung: list[int]
) -> None:
    keeper.post("/queue/pause", {"tenant": "everybody", "reason": "Power cut."})
    with sessions.begin() as session:
        for _ in range(2):
            queue_job(session, tenant.id)

    keeper.post("/queue/resume", {"tenant": "everybody"})

    assert rung == [2]


@pytest.fixture
def rung(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often workers were called each time."""
    times: list[int] = []
    monkeypatch.setattr(parts.bell, "ring", times.append)
    return times


def test_whole_queue_and_workers_are_for_whoever_operates_everything(
    operator: Visitor, keeper: Visitor, sessions: Sessions, tenant: TenantRow, elsewhere: TenantRow
) -> None:
    make_busy(sessions, tenant)
    everybody = {"tenant": "everybody", "reason": "Power cut."}
    forms = {
        "/queue/pause": everybody,
        "/queue/resume": everybody,
        "/queue/workers/drain": {"worker": "ward-3:17"},
        "/queue/workers/release": {"worker": "ward-3:17"},
    }

    refused = {path: operator.post(path, form).status_code for path, form in forms.items()}
    theirs = operator.post("/queue/pause", {"tenant": str(elsewhere.id), "reason": "x"})
    with sessions.begin() as session:
        pause_queue(session, None, by="user kim.keeper", reason="Power cut.")
    seen = operator.get("/queue").text

    assert refused == dict.fromkeys(forms, 403)
    assert theirs.status_code == 403
    # They are told that it stands still, and cannot change it.
    assert "The whole queue is" in seen
    assert "Resume" not in seen
    assert {path: keeper.post(path, form).status_code for path, form in forms.items()} == (
        dict.fromkeys(forms, 303)
    )


def test_worker_is_drained_and_goes_on(
    keeper: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    make_busy(sessions, tenant)

    keeper.post("/queue/workers/drain", {"worker": "ward-3:17"})
    drained = words(keeper.get("/queue"))
    with sessions.begin() as session:
        by = session.scalars(select(DrainRow.by)).one()
    keeper.post("/queue/workers/release", {"worker": "ward-3:17"})

    assert by == "user kim.keeper"
    assert "ward-3:17 ◐ draining asked by kim.keeper" in drained
    assert "Resume ward-3:17" in drained
    assert "▶ busy" in words(keeper.get("/queue"))
    assert [one[0] for one in actions(sessions)] == [
        Action.WORKER_DRAINED,
        Action.WORKER_RELEASED,
    ]


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/queue/pause", {"tenant": "everybody", "reason": " "}, 422),
        ("/queue/pause", {"tenant": "everybody", "reason": "x" * 201}, 422),
        ("/queue/pause", {"tenant": "made-up", "reason": "x"}, 422),
        ("/queue/pause", {"reason": "x"}, 422),
        ("/queue/retry", {"job": "made-up"}, 422),
        ("/queue/workers/drain", {"worker": "who:1"}, 404),
        ("/queue/workers/drain", {}, 404),
    ],
)
def test_bad_form_is_a_plain_page_and_does_nothing(
    path: str, form: dict[str, str], status: int, keeper: Visitor, sessions: Sessions
) -> None:
    answer = keeper.post(path, form)

    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert actions(sessions) == []


@pytest.mark.parametrize(
    "path", ["/pause", "/resume", "/workers/drain", "/workers/release", "/retry"]
)
def test_form_needs_the_right_and_the_token_of_this_sign_in(
    path: str, keeper: Visitor, reader: Visitor, nobody: Visitor, sessions: Sessions
) -> None:
    form = {"tenant": "everybody", "reason": "x", "worker": "w:1", "job": str(uuid4())}

    assert keeper.post(f"/queue{path}", form, token="0" * 64).status_code == 403
    assert reader.post(f"/queue{path}", form).status_code == 403
    assert nobody.post(f"/queue{path}", form).status_code == 303
    assert keeper.get(f"/queue{path}").status_code in {404, 405}
    assert actions(sessions) == []
