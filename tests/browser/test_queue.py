"""The page of queue and workers in a real browser: it lives, is left alone while somebody types, and bars nobody."""

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from db.attempts import keep_crash
from db.claims import report_progress
from db.pauses import pause_queue
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.workers import Load, Work, Worker, heartbeat
from hilum.jobs import Priority, Stage
from hilum.people import Role
from hilum.workers import WorkerState
from tests.browser.conftest import SignIn
from tests.browser.looking import check_accessible, take_pictures
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_troubles import failed_job, quarantined_job

FRAMES = {
    "error": "Segmentation fault",
    "frames": ["worker/run.py:112 _attempt", "hilum/networks/maskrcnn.py:88 segment"],
    "causes": [],
}


@pytest.fixture
def busy(sessions: Sessions, tenant: TenantRow) -> JobRow:
    """A queue with something of everything; return the job that runs."""
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        for priority in Priority:
            queue_job(session, tenant.id, priority=priority, slice_count=300)
        failed_job(session, tenant)
        keep_crash(session, quarantined_job(session, tenant).id, "gpu-1", FRAMES)
        job = queue_job(session, tenant.id)
        held = claim(session, job, worker="ward-3:18")
        report_progress(session, held, Stage.SLICES, 40, 100, lease_s=600)
        worker = Worker(uuid4(), "ward-3:17", 18, "cuda:0", "NVIDIA A30", "0.1.0")
        load = Load(["resnet50@4.0.0"], 3 * 2**30, 2**33, 2**35, 0.75)
        heartbeat(session, worker, Work(WorkerState.BUSY, job.id), load)
        return job


@pytest.fixture
def keeper(sign_in: SignIn, busy: JobRow) -> Page:
    """The page as whoever operates every hospital sees it."""
    assert busy
    page = sign_in(Role.OPERATOR, everywhere=True)
    page.get_by_role("link", name="Queue").click()
    page.wait_for_url("**/queue")
    return page


def test_page_bars_nobody_in_the_light_and_in_the_dark(
    keeper: Page, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        pause_queue(session, tenant.id, by="user otto", reason="The scanner is moved.")
    expect(keeper.get_by_text("The scanner is moved.")).to_be_visible()
    for summary in keeper.locator("details > summary").all():
        summary.click()

    check_accessible(keeper)
    take_pictures(keeper, "queue")
    check_accessible(keeper)


def test_page_fits_a_phone(keeper: Page) -> None:
    keeper.set_viewport_size({"width": 390, "height": 844})

    wide = keeper.evaluate("document.documentElement.scrollWidth > innerWidth")

    assert not wide
    check_accessible(keeper)


def test_what_somebody_types_and_opens_stays_while_the_rest_is_shown_anew(
    keeper: Page, sessions: Sessions, tenant: TenantRow
) -> None:
    reason = keeper.get_by_label("Reason")
    keeper.locator("details > summary").first.click()
    reason.focus()
    keeper.keyboard.type("The power")

    with sessions.begin() as session:
        queue_job(session, tenant.id)
    expect(keeper.locator(".figures")).to_contain_text("4 waiting", timeout=10_000)
    keeper.keyboard.type(" is cut.")

    expect(reason).to_have_value("The power is cut.")
    assert keeper.locator("details[open]").count() == 1


def test_worker_is_drained_and_the_queue_paused_and_resumed_by_keyboard_alone(keeper: Page) -> None:
    drain = keeper.get_by_role("button", name="Drain ward-3:17")
    drain.focus()
    # The part around it is shown anew meanwhile, and the focus stays.
    with keeper.expect_response("**/queue/live"):
        pass
    keeper.keyboard.press("Enter")
    expect(keeper.get_by_role("button", name="Resume ward-3:17")).to_be_visible()
    expect(keeper.locator(".worker")).to_contain_text("draining")

    keeper.get_by_label("Reason").focus()
    keeper.keyboard.type("The power is cut.")
    keeper.keyboard.press("Enter")
    expect(keeper.get_by_text("The whole queue is paused")).to_be_visible()
    keeper.get_by_role("button", name="Resume", exact=True).focus()
    keeper.keyboard.press("Enter")
    expect(keeper.get_by_text("The whole queue is paused")).to_have_count(0)


def test_all_that_were_chosen_are_tried_again(keeper: Page) -> None:
    for box in keeper.get_by_role("checkbox").all():
        box.check()

    keeper.get_by_role("button", name="Retry those chosen").click()

    expect(keeper.get_by_role("status")).to_contain_text("2 jobs wait again.")
    expect(keeper.get_by_text("Nothing went wrong.")).to_be_visible()
