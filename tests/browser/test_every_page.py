"""Every page, as everybody may meet it: by light and by dark, on a telephone, without a mouse."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from hilum.people import Role
from tests.browser.conftest import SignIn
from tests.browser.looking import Troubles, check_accessible, take_pictures

PAGES = {
    "cases": "/cases",
    "case": "/cases/{job}",
    "send": "/send",
    "queue": "/queue",
    "insights": "/insights",
    "admin": "/admin",
    "admin-users": "/admin/users",
    "admin-keys": "/admin/keys",
    "admin-destinations": "/admin/destinations",
    "admin-webhooks": "/admin/webhooks",
    "admin-tenants": "/admin/tenants",
    "admin-thresholds": "/admin/thresholds",
    "admin-networks": "/admin/networks",
    "admin-retention": "/admin/retention",
    "admin-audit": "/admin/audit",
    "admin-health": "/admin/health",
    "problems": "/problems",
}
"""Every page that the menu or another page leads to."""

TELEPHONE = {"width": 390, "height": 844}


@pytest.fixture
def admin(sign_in: SignIn) -> Page:
    """Who may see every page."""
    return sign_in(Role.ADMIN, everywhere=True)


def open_page(page: Page, name: str, job_id: str) -> None:
    page.goto(PAGES[name].format(job=job_id))
    if name == "case":
        page.wait_for_selector("[data-viewer='volume']", timeout=120_000)
    if name == "insights":
        page.wait_for_selector(".later", state="detached")


def test_every_page_of_the_menu_is_known_here(admin: Page) -> None:
    def leads() -> Iterator[str]:
        for address in ("/cases", "/admin"):
            admin.goto(address)
            for link in admin.locator("nav a").all():
                yield link.get_attribute("href") or ""

    assert set(leads()) - set(PAGES.values()) == set()


@pytest.mark.parametrize("name", PAGES)
def test_page_holds_no_barrier_by_light_and_by_dark(admin: Page, finished: str, name: str) -> None:
    open_page(admin, name, finished)

    for theme in ("light", "dark"):
        admin.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        check_accessible(admin)
    take_pictures(admin, name)


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_telephone(admin: Page, finished: str, name: str) -> None:
    admin.set_viewport_size(TELEPHONE)  # type: ignore[arg-type]  # a dictionary of just that form

    open_page(admin, name, finished)

    width = admin.evaluate("document.documentElement.scrollWidth")
    assert width <= TELEPHONE["width"]


@pytest.mark.parametrize(
    ("path", "complains"),
    [("/sign-in", False), ("/welcome?token=made-up", True), ("/nowhere", True)],
)
def test_page_before_the_door_holds_no_barrier(
    context: BrowserContext, troubles: Troubles, path: str, *, complains: bool
) -> None:
    page = context.new_page()

    page.goto(path)

    check_accessible(page)
    # A browser writes down every answer that is no page.
    assert bool(troubles) is complains
    troubles.clear()


def test_theme_is_chosen_and_kept(admin: Page) -> None:
    def ground() -> str:
        colour: str = admin.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    admin.emulate_media(color_scheme="light")
    light = ground()

    admin.get_by_role("button", name="Light or dark").click()

    dark = ground()
    assert dark != light
    admin.goto("/send")
    assert ground() == dark
    admin.get_by_role("button", name="Light or dark").click()
    assert ground() == light


def test_case_leads_back_to_the_list_that_it_was_chosen_from(admin: Page, finished: str) -> None:
    admin.goto("/cases?verdict=Mild&sort=-lesion_share")
    admin.locator("tbody a").first.click()
    admin.wait_for_url(f"**/cases/{finished}")

    admin.get_by_role("main").get_by_role("link", name="Cases", exact=True).click()

    admin.wait_for_url("**/cases?verdict=Mild&sort=-lesion_share")


def test_everything_is_reached_by_the_keyboard(admin: Page, finished: str) -> None:
    def focused() -> str:
        words: str = admin.evaluate("document.activeElement.innerText || document.activeElement.id")
        return words.strip()

    admin.goto("/cases")
    admin.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    admin.keyboard.press("Enter")
    assert admin.evaluate("document.activeElement.id") == "main"

    for _ in range(80):
        admin.keyboard.press("Tab")
        if f"/cases/{finished}" in (admin.evaluate("document.activeElement.href") or ""):
            break
    admin.keyboard.press("Enter")

    admin.wait_for_url(f"**/cases/{finished}")
    stage = admin.get_by_role("application", name="Slices of the chest")
    admin.wait_for_selector("[data-viewer='volume']", timeout=120_000)
    stage.focus()
    before = admin.locator("[data-viewer-slice]").input_value()
    admin.keyboard.press("ArrowUp")
    assert admin.locator("[data-viewer-slice]").input_value() != before
