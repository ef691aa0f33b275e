"""A study is sent from a page, also over a link that breaks and by a page that was closed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect
from sqlalchemy import func, select

from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import add_tenant
from hilum.people import Role
from tests.browser.conftest import SignIn
from tests.browser.looking import Troubles, check_accessible
from tests.phantoms import chest

PIECES = "**/v1/uploads/*"
"""What pieces of an upload are sent to."""


@pytest.fixture
def sender(sign_in: SignIn) -> Iterator[Page]:
    """The page of an operator who is about to send."""
    page = sign_in(Role.OPERATOR)
    page.goto("/send")
    yield page
    page.unroute_all()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder of DICOM files."""
    chest().write_dicom(tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def announced(sender: Page) -> list[str]:
    """Uploads that were begun from the page."""
    begun: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/v1/uploads"):
            begun.append(request.url)

    sender.on("request", note)
    return begun


def break_pieces(page: Page, *, times: int | None) -> list[str]:
    """Break the link under so many pieces, or under all; return those that broke."""
    broken: list[str] = []

    def act(route: Route) -> None:
        is_piece = route.request.method == "PATCH"
        if is_piece and (times is None or len(broken) < times):
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(PIECES, act)
    return broken


def drop(page: Page, path: Path) -> None:
    """Let go of a file or folder over the page, as a mouse does that brings it from elsewhere."""
    box = page.locator("#drop").bounding_box()
    assert box is not None
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        where = {"type": kind, "x": box["x"] + 20, "y": box["y"] + 20, "data": data}
        devtools.send("Input.dispatchDragEvent", where)


def jobs(sessions: Sessions) -> int:
    with sessions.begin() as session:
        return session.scalars(select(func.count()).select_from(JobRow)).one()


def test_folder_goes_in_and_the_gate_answers_at_once(
    sender: Page, study: Path, sessions: Sessions
) -> None:
    sender.set_input_files("#folder", study)

    expect(sender.get_by_text("Taken: Read the original axial CT")).to_be_visible(timeout=60_000)
    check_accessible(sender)
    assert jobs(sessions) == 1


@pytest.mark.parametrize("is_packed", [False, True])
def test_folder_or_zip_is_dropped(
    sender: Page, study: Path, tmp_path: Path, sessions: Sessions, *, is_packed: bool
) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", study)
    drop(sender, Path(packed) if is_packed else study)

    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    assert jobs(sessions) == 1


def test_folder_that_was_chosen_before_the_script_came_goes_in(
    sender: Page, study: Path, sessions: Sessions
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    sender.route("**/send.js", hold)
    with sender.expect_request("**/send.js"):
        sender.goto("/send", wait_until="commit")

    sender.set_input_files("#folder", study)
    held[0].continue_()

    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    assert jobs(sessions) == 1


def test_study_is_sent_for_no_hospital_that_nobody_chose(
    sign_in: SignIn, study: Path, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        add_tenant(session, "a hospital before it")
    sender = sign_in(Role.ADMIN, everywhere=True)
    sender.goto("/send")

    sender.set_input_files("#folder", study)

    expect(sender.get_by_text("Choose a hospital first.")).to_be_visible()
    assert jobs(sessions) == 0
    sender.get_by_label("Hospital").select_option(tenant.name)
    sender.set_input_files("#folder", study)
    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    with sessions.begin() as session:
        assert session.scalars(select(JobRow.tenant_id)).all() == [tenant.id]


def test_link_that_breaks_is_waited_for(
    sender: Page, study: Path, sessions: Sessions, announced: list[str], troubles: Troubles
) -> None:
    broken = break_pieces(sender, times=2)

    sender.set_input_files("#folder", study)

    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    assert len(broken) == 2
    assert len(announced) == jobs(sessions) == 1
    # The browser writes down what broke.
    troubles.clear()


def test_page_that_was_closed_goes_on_where_it_stood(
    sender: Page, study: Path, sessions: Sessions, announced: list[str], troubles: Troubles
) -> None:
    broken = break_pieces(sender, times=None)
    with sender.expect_event("requestfailed"):
        sender.set_input_files("#folder", study)
    assert broken

    sender.unroute_all()
    sender.goto("/send")
    sender.set_input_files("#folder", study)

    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    assert len(announced) == jobs(sessions) == 1
    troubles.clear()


def test_study_that_had_arrived_whole_is_asked_for(
    sender: Page, study: Path, sessions: Sessions, announced: list[str], troubles: Troubles
) -> None:
    # The bytes go through, and the answer does not come back.
    def lose_answer(route: Route) -> None:
        if route.request.method != "PATCH":
            route.continue_()
            return
        route.fetch()
        route.abort("connectionreset")

    sender.route(PIECES, lose_answer)

    sender.set_input_files("#folder", study)

    expect(sender.get_by_text("Taken:")).to_be_visible(timeout=60_000)
    assert len(announced) == jobs(sessions) == 1
    troubles.clear()


def test_what_is_no_study_is_refused_in_a_sentence(
    sender: Page, tmp_path: Path, sessions: Sessions, troubles: Troubles
) -> None:
    letter = tmp_path / "letter.zip"
    letter.write_text("Dear colleague")

    sender.set_input_files("#files", letter)

    expect(sender.get_by_text("not_a_zip")).to_be_visible(timeout=60_000)
    check_accessible(sender)
    assert jobs(sessions) == 0
    troubles.clear()
