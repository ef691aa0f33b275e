"""Real pages in a real browser: a server with a finished case, and somebody signed in before it."""

from collections.abc import Callable, Iterator
from threading import Thread

import pytest
from apiflask import APIFlask
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from api.passwords import hash_password
from db.session import Sessions
from db.tables import TenantRow
from db.users import add_user, grant, set_password
from hilum.people import Role
from tests.api.conftest import app, archive, caller, finished, key
from tests.browser.looking import Troubles
from tests.programs import installed

__all__ = ["app", "archive", "caller", "finished", "key"]

PASSWORD = "correct horse battery"

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    # WebGL 2 by the processor.
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)

SignIn = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    It ends with its module: while its driver runs, nobody else in this process can run a loop.
    """
    program = installed("chromium", package="chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS])
        yield browser
        browser.close()


class Quiet(WSGIRequestHandler):
    """Serves without a line for each request."""

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def url(app: APIFlask) -> Iterator[str]:
    """Where the app is served."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def troubles() -> Troubles:
    """What browsers of this test complained of; a test that means to cause some takes them out."""
    return Troubles()


@pytest.fixture
def context(chromium: Browser, url: str, troubles: Troubles) -> Iterator[BrowserContext]:
    """A browser with its own cookies; what goes wrong in its pages fails the test."""
    # A colour that is still on its way to another is judged as it is just then.
    context = chromium.new_context(
        reduced_motion="reduce", base_url=url, viewport={"width": 1280, "height": 900}
    )
    troubles.watch(context)
    yield context
    context.close()
    assert list(troubles) == []


@pytest.fixture
def sign_in(context: BrowserContext, sessions: Sessions, tenant: TenantRow) -> SignIn:
    """Add somebody with a role in the hospital `tenant`, or in all, and sign them in."""

    def come(role: Role = Role.READER, *, everywhere: bool = False) -> Page:
        name = f"rosa.{role}"
        with sessions.begin() as session:
            user = add_user(session, name)
            grant(session, user, role, None if everywhere else tenant.id)
            set_password(session, user, hash_password(PASSWORD, name=name))
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/cases")
        return page

    return come


@pytest.fixture
def reader(sign_in: SignIn) -> Page:
    """The first page that a physician of the hospital `tenant` sees."""
    return sign_in(Role.READER)
