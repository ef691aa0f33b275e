"""What every page must bear: no complaint of the browser, no barrier, and a picture taken of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = ROOT / "build" / "screenshots"

WEAR = """(theme) => {
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("hilum:theme"));
}"""

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
GRAVE = ("serious", "critical")


class Troubles(list[str]):
    """Errors that scripts raise and that the browser writes: refused by a policy, not found, broken."""

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._hear)
        context.on("weberror", self._note)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.append(f"{message.text} {message.location.get('url', '')}")

    def _note(self, error: WebError) -> None:
        self.append(str(error.error))


def check_accessible(page: Page, *, leave_out: Sequence[str] = ()) -> None:
    """Make sure that axe finds no serious barrier on a page; `leave_out` names rules of it."""
    # Evaluated by the driver, outside of the page's policy.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {
        "runOnly": {"type": "tag", "values": [*RULES]},
        "rules": {rule: {"enabled": False} for rule in leave_out},
    }
    found = page.evaluate("(options) => axe.run(document, options)", options)
    barriers = [_barrier(one) for one in found["violations"] if one["impact"] in GRAVE]
    assert not barriers, "\n".join(barriers)


def _barrier(violation: dict[str, Any]) -> str:
    places = ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"])
    return f"{violation['id']}: {violation['help']}: {places}"


def take_pictures(page: Page, name: str) -> list[Path]:
    """Write screenshots of a whole page, light and dark, and return their paths."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    paths = []
    for theme in ("light", "dark"):
        page.evaluate(WEAR, theme)
        path = SCREENSHOTS / f"{name}-{theme}.png"
        page.screenshot(path=path, full_page=True)
        paths.append(path)
    return paths
