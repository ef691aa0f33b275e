"""The pictures of docs/images: a busy day of phantoms on a whole system, in a real browser; `make pictures`."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.progress import track

from cli.client import Client, Order
from cli.database import engine_at
from cli.home import Home
from cli.packing import Parcel
from cli.system import System, running_system
from db.session import make_sessions
from db.tenants import add_tenant, new_key
from hilum.phantom import COVID_LESIONS, Phantom, make_phantom
from tests.browser.conftest import FLAGS, PASSWORD
from tests.browser.looking import ROOT, SCREENSHOTS, take_pictures
from tests.programs import installed

IMAGES: Final = ROOT / "docs" / "images"

PICTURES: Final = {
    "case": ("day-case-light", 1440),
    "case-dark": ("day-case-dark", 1440),
    "cases": ("day-cases-light", 1000),
    "queue": ("day-queue-light", 1000),
    "insights": ("day-insights-light", 1400),
    "compare": ("day-compare-light", 1300),
}
"""Which screenshot, and how much of it from the top, in pixels."""

SOON_MS: Final = 180_000
"""Two cores that read a study as well are slow to draw one."""

COLOURS: Final = 256
"""A page has few: the files are a third as large."""

FEW: Final = COVID_LESIONS[:2]
LARGE: Final = [replace(lesion, volume_ml=2.5 * lesion.volume_ml) for lesion in COVID_LESIONS]

DONE: Final[Mapping[str, Callable[[], Phantom]]] = {
    "Alba": lambda: make_phantom(1),
    "Bruno": lambda: make_phantom(2, lesions=LARGE),
    "Carla": lambda: make_phantom(3, lesions=()),
    "Dario": lambda: make_phantom(4, lesions=FEW),
    "Elena": lambda: make_phantom(5),
}
"""Who is read during the day, and what their chest is like."""

WAITING: Final = {"Fabio": "routine", "Greta": "stat", "Hugo": "bulk", "Irene": "routine"}
"""Who waits when the picture of the queue is taken, and how urgent they are."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Home.open(Path(folder) / "home")
        system = stack.enter_context(
            running_system(home, host="127.0.0.1", port=18080, say=lambda _: None)
        )
        clients = [stack.enter_context(_client(system, name)) for name in ("North", "South")]
        page = stack.enter_context(_admin(system))
        jobs = _work_through_the_day(clients, Path(folder))
        _take(page, jobs["Alba"], clients, Path(folder))
    for name, (screenshot, height) in PICTURES.items():
        shrink(screenshot, height).save(IMAGES / f"{name}.png", optimize=True)


@contextmanager
def _client(system: System, hospital: str) -> Iterator[Client]:
    with engine_at(system.database_url) as engine, make_sessions(engine).begin() as session:
        add_tenant(session, hospital)
        key = new_key(session, hospital, "scanner")
    client = Client(system.url, key)
    yield client
    client.close()


@contextmanager
def _admin(system: System) -> Iterator[Page]:
    program = installed("chromium", package="chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS])
        page = browser.new_page(base_url=system.url, viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(SOON_MS)
        page.goto(system.entrance())
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Choose it and go in").click()
        page.wait_for_url("**/cases")
        yield page
        browser.close()


def _work_through_the_day(clients: list[Client], folder: Path) -> dict[str, str]:
    jobs = {}
    for number, (name, chest) in enumerate(track(DONE.items(), "A day at a hospital")):
        client = clients[number % len(clients)]
        jobs[name] = _send(client, chest(), folder / name)
        _wait(client, jobs[name])
    again = clients[0].post(f"/v1/jobs/{jobs['Alba']}/rerun", {"network": "resnet101"})
    _wait(clients[0], again["id"])
    _wait(clients[1], _send(clients[1], make_phantom(9), folder / "Jonas", is_damaged=True))
    return jobs


def _take(page: Page, job: str, clients: list[Client], folder: Path) -> None:
    page.goto(f"/cases/{job}")
    page.wait_for_selector("[data-viewer='volume']")
    take_pictures(page, "day-case")
    page.locator("#compare").get_by_role("link").first.click()
    page.wait_for_load_state("networkidle")
    take_pictures(page, "day-compare")
    page.goto("/insights")
    page.wait_for_selector("canvas")
    take_pictures(page, "day-insights")
    chests = [make_phantom(20 + number) for number in range(len(WAITING))]
    # At once, so that some wait while the first is read.
    for number, (name, priority) in enumerate(WAITING.items()):
        order = Order(priority=priority)
        _send(clients[number % 2], chests[number], folder / name, order=order)
    page.goto("/queue")
    page.get_by_role("heading", name="Running").wait_for()
    page.get_by_text("slices, ").wait_for()
    take_pictures(page, "day-queue")
    page.goto("/cases")
    page.wait_for_load_state("networkidle")
    take_pictures(page, "day-cases")


def _send(
    client: Client,
    phantom: Phantom,
    folder: Path,
    *,
    order: Order | None = None,
    is_damaged: bool = False,
) -> str:
    folder.mkdir()
    for dataset in phantom.datasets():
        dataset.PatientName = f"Phantom^{folder.name}"
        if is_damaged:
            dataset.PixelData = dataset.PixelData[:100]
        dataset.save_as(folder / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
    job = client.send_study(Parcel.of(folder), order or Order(), lambda *_: None)
    return str(job["id"])


def _wait(client: Client, job_id: str) -> None:
    for _ in client.jobs(job_id):
        pass


def shrink(name: str, height: int) -> Image.Image:
    """Return the upper part of a screenshot in few colours."""
    picture = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
    part = picture.crop((0, 0, picture.width, min(height, picture.height)))
    return part.quantize(COLOURS)


if __name__ == "__main__":
    main()
