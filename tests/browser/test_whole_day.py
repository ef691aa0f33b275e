"""A day at a hospital, in a real browser on a whole system: from a folder of files to its proof of purge."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from cli.database import engine_at
from cli.home import Home
from cli.system import LOCAL_TENANT, System, running_system
from db.session import make_sessions
from db.tables import JobRow
from hilum.jobs import State
from hilum.phantom import make_phantom
from tests.archives import unpacked
from tests.browser.looking import Troubles, check_accessible, take_pictures

PASSWORD = "correct horse battery"

SOON_MS = 180_000
"""A study of 64 slices takes half a minute on two cores that do nothing else."""


@dataclass(frozen=True)
class Day:
    """What the day is about.

    Attributes:
        system: that runs.
        page: of the browser.
    """

    system: System
    page: Page

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def go(self, name: str) -> None:
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """Database, queue, web server and worker, with the network that ships."""
    home = Home.open(tmp_path / "home")
    with running_system(home, host="127.0.0.1", port=18080, say=lambda _: None) as system:
        yield system


@pytest.fixture
def day(system: System, chromium: Browser) -> Iterator[Day]:
    """A browser before the door; what goes wrong in its pages fails the test."""
    troubles = Troubles()
    # A colour that is still on its way to another is judged as it is just then.
    context = chromium.new_context(
        reduced_motion="reduce", base_url=system.url, viewport={"width": 1440, "height": 1000}
    )
    context.set_default_timeout(SOON_MS)
    expect.set_options(timeout=SOON_MS)
    troubles.watch(context)
    yield Day(system, context.new_page())
    expect.set_options(timeout=None)
    context.close()
    assert list(troubles) == []


@pytest.fixture
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of DICOM files: the study A0001 where it is at hand, else a phantom."""
    try:
        shared: Path = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        make_phantom(1).write_dicom(tmp_path / "study")
        return tmp_path / "study"
    studies = unpacked(shared / "dicom-studies.tar.xz", tmp_path)
    return studies / "dicom-studies" / "lung-dx-A0001" / "lung-kernel"


@pytest.mark.timeout(900)
def test_whole_day(day: Day, study: Path) -> None:
    _come_in_by_the_link(day)
    _send(day, study)
    _watch_it_finish(day)
    _read(day)
    _say_that_it_is_right(day)
    case = _pause_and_ask_another_network(day)
    _retry_from_quarantine(day)
    _compare(day, case)
    _look_at_figures(day)
    _purge(day)
    _find_it_in_the_audit_log(day)


def _come_in_by_the_link(day: Day) -> None:
    day.page.goto(day.system.entrance())
    day.page.get_by_label("New password").fill(PASSWORD)
    day.page.get_by_label("The same again").fill(PASSWORD)
    day.press("Choose it and go in")
    expect(day.page.get_by_role("heading", name="Cases")).to_be_visible()


def _send(day: Day, study: Path) -> None:
    day.go("Send")
    day.page.set_input_files("#folder", study)
    expect(day.page.get_by_text("Taken: Read the original axial CT")).to_be_visible()
    take_pictures(day.page, "send-taken")
    day.page.get_by_role("link", name="Open the case").click()


def _watch_it_finish(day: Day) -> None:
    # Nobody touches the page: it becomes that of the report by itself.
    day.page.wait_for_selector("#verdict")
    day.page.wait_for_selector("[data-viewer='volume']")


def _read(day: Day) -> None:
    check_accessible(day.page)
    take_pictures(day.page, "report")
    place = day.page.locator("[data-viewer-place]")
    link = day.page.locator("a[data-slice]").first
    link.click()
    expect(place).to_contain_text(f"{link.get_attribute('data-slice')} of")
    day.page.get_by_role("application", name="Slices of the chest").press("ArrowUp")
    expect(place).not_to_contain_text(f"{link.get_attribute('data-slice')} of")


def _say_that_it_is_right(day: Day) -> None:
    day.page.get_by_label("is right").check()
    day.page.get_by_label("Comment, if you like").fill("As I see it. <script>alert(1)</script>")
    day.press("Save")
    expect(day.page.get_by_text("As I see it. <script>")).to_be_visible()


def _pause_and_ask_another_network(day: Day) -> str:
    case = day.page.url
    day.go("Cases")
    expect(day.page.locator("tbody tr")).to_have_count(1)
    take_pictures(day.page, "cases-of-a-day")
    day.go("Queue")
    day.page.get_by_label("Reason").fill("The other network is asked.")
    day.press("Pause")
    expect(day.page.get_by_text("The other network is asked.")).to_be_visible()
    take_pictures(day.page, "queue-of-a-day")
    day.page.goto(case)
    network = day.page.get_by_label("Network")
    network.select_option(network.locator("option", has_text="resnet101").inner_text())
    day.press("Run by this network")
    expect(day.page.get_by_text("Next in the queue")).to_be_visible()
    return case


def _retry_from_quarantine(day: Day) -> None:
    job_id = UUID(day.page.url.rpartition("/")[2])
    # What no page can do: a worker that dies again and again over one job.
    lost = {"state": State.QUARANTINED, "error_code": "worker_lost", "error_message": "It is lost."}
    with engine_at(day.system.database_url) as engine, make_sessions(engine).begin() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(lost))
    expect(day.page.get_by_role("heading", name="Case quarantined")).to_be_visible()
    day.go("Queue")
    day.press(f"Retry {job_id}")
    day.press("Resume")
    day.page.goto(f"/cases/{job_id}")


def _compare(day: Day, case: str) -> None:
    _watch_it_finish(day)
    day.page.goto(case)
    day.page.locator("#compare").get_by_role("link").first.click()
    expect(day.page.get_by_role("heading", level=1)).to_be_visible()
    check_accessible(day.page)
    take_pictures(day.page, "compare")


def _look_at_figures(day: Day) -> None:
    day.go("Insights")
    expect(day.page.get_by_role("heading", name="Cases by day and verdict")).to_be_visible()
    for drawn in ("cases", "speed", "waits"):
        expect(day.page.locator(f"#{drawn} canvas")).to_be_visible()
    take_pictures(day.page, "insights-of-a-day")


def _purge(day: Day) -> None:
    day.page.goto("/admin/retention")
    day.page.get_by_label("Received before").fill("2100-01-01")
    day.press("Show what would go")
    day.page.get_by_label("Name of the hospital").fill(LOCAL_TENANT)
    day.page.get_by_role("button", name="for good").click()
    expect(day.page.get_by_role("heading", name="Nothing of it is left")).to_be_visible()
    take_pictures(day.page, "purged")
    day.go("Cases")
    expect(day.page.locator("tbody tr")).to_have_count(0)


def _find_it_in_the_audit_log(day: Day) -> None:
    day.page.goto("/admin/audit")
    for done in (
        "case.sent",
        "case.feedback_given",
        "queue.paused",
        "job.retried",
        "retention.purged",
    ):
        expect(day.page.get_by_text(done).first).to_be_attached()
    day.press("Verify")
    expect(day.page.locator("section.good[role=status]")).to_be_visible()
