# SPDX-License-Identifier: Apache-2.0
"""What a long study costs in the viewer of a real browser: waits, steps, memory, bytes; prints JSON.

A phantom of so many slices of 512 x 512, with the masks of its truth, from a web server as in production
to Chromium, which draws by the processor. A second visit has a network of 100 Mbit/s.

    python -m benchmarks.viewer [SLICES]
"""

import json
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from api.passwords import hash_password
from benchmarks.cases import PASSWORD, installation
from db.session import make_sessions
from db.tenants import add_tenant, new_key
from db.users import add_user, grant, set_password
from hilum.people import Role
from hilum.phantom import make_phantom
from hilum.storage import StudyStore
from tests.api.finishing import finish
from tests.api.server import running_server
from tests.browser.conftest import FLAGS
from tests.phantoms import zip_chest

SIZE_PX: Final = 512
STEPS: Final = 40
MBIT_S: Final = 100
PATIENCE_MS: Final = 300_000

WATCH: Final = """
  window.seen = {};
  const note = (name) => { window.seen[name] ??= performance.now(); };
  document.addEventListener("load", (event) => {
    if (event.target.matches?.("[data-viewer-picture]")) note("first_slice");
  }, true);
  new MutationObserver(() => {
    if (document.querySelector("[data-viewer='volume']")) note("volume");
  }).observe(document, { subtree: true, childList: true, attributes: true });
"""
"""Notes when the page, which begins here, has what; milliseconds."""

STEP: Final = """(view) => {
  document.querySelector(`[name="viewer-view"][value="${view}"]`).click();
  const stage = document.querySelector("[data-viewer-stage]");
  const gl = document.querySelector("[data-viewer-canvas]").getContext("webgl2");
  const begun = performance.now();
  const wheel = { deltaY: 100, bubbles: true, cancelable: true };
  stage.firstElementChild.dispatchEvent(new WheelEvent("wheel", wheel));
  // What is read back has been drawn.
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - begun;
}"""
"""One notch of a wheel, to the pixels that it leads to; milliseconds."""

CHOOSE: Final = """(value) => {
  const gl = document.querySelector("[data-viewer-canvas]").getContext("webgl2");
  const begun = performance.now();
  document.querySelector(`[name^="viewer-"][value="${value}"]`).click();
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - begun;
}"""
"""Another window or view, to its pixels; milliseconds."""

LOADED: Final = """() => performance.getEntriesByType("resource")
  .map((one) => [one.name.replace(/.*[/]/, ""), one.transferSize])"""


@dataclass(frozen=True)
class Case:
    """Where the viewer is: a server, and the path of a page."""

    url: str
    path: str


def main(slices: int) -> None:
    """Measure and print."""
    with case_of(slices) as case, sync_playwright() as driver:
        program = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS])
        measured = visit(browser, case), visit(browser, case, mbit_s=MBIT_S)
        browser.close()
    found = {"benchmark": "viewer", "slices": slices, "size_px": SIZE_PX}
    names = ("this_machine", f"at_{MBIT_S}_mbit_s")
    print(json.dumps(found | dict(zip(names, measured, strict=True))))


@contextmanager
def case_of(slices: int) -> Iterator[Case]:
    """Have an installation with one finished case."""
    phantom = make_phantom(slices=slices, size_px=SIZE_PX)
    with ExitStack() as stack:
        settings, engine = stack.enter_context(installation(0))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hilum-bench-")))
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            key = new_key(session, add_tenant(session, "bench").name, "bench")
            user = add_user(session, "admin")
            grant(session, user, Role.ADMIN, None)
            set_password(session, user, hash_password(PASSWORD, name="admin"))
        server = stack.enter_context(running_server(settings))
        job_id = send(server.url, key, zip_chest(folder / "chest.zip", phantom))
        finish(sessions, StudyStore.open(settings.storage_url), job_id, phantom)
        yield Case(server.url, f"/cases/{job_id}")


def send(url: str, key: str, archive: Path) -> str:
    """Upload a study; return the id of its job."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/zip"}
    body = archive.read_bytes()
    answer = httpx.post(f"{url}/v1/studies", content=body, headers=headers, timeout=600)
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def visit(browser: Browser, case: Case, *, mbit_s: int | None = None) -> dict[str, Any]:
    """Open the case as somebody who was never here, look through it, and say what it took."""
    context = browser.new_context(base_url=case.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/cases")
    devtools = context.new_cdp_session(page)
    if mbit_s is not None:
        slow_down(devtools, mbit_s)
    page.add_init_script(WATCH)
    page.goto(case.path)
    # Here nothing draws but the processor: a long series is asked for by a button then.
    page.wait_for_selector("[data-viewer-again]:not([hidden]), [data-viewer='volume']")
    if page.locator("[data-viewer='pictures']").count():
        page.get_by_role("button", name="Load the volume").click()
    page.wait_for_selector("[data-viewer='volume']", timeout=PATIENCE_MS)
    found = waits(page) | {"steps_ms": steps(page), "memory_mib": memory(browser, page)}
    context.close()
    return found


def slow_down(devtools: CDPSession, mbit_s: int) -> None:
    """Give a page a network of its own speed, and of 10 ms a round trip."""
    devtools.send("Network.enable")
    conditions = {"offline": False, "latency": 10, "uploadThroughput": -1}
    bytes_s = mbit_s * 1e6 / 8
    devtools.send("Network.emulateNetworkConditions", conditions | {"downloadThroughput": bytes_s})


def waits(page: Page) -> dict[str, Any]:
    """Return when there was what, from the click on, and the bytes that it took."""
    seen, loaded = page.evaluate("seen"), page.evaluate(LOADED)
    sizes = {name: size for name, size in loaded if name.endswith((".gz", ".umd.js"))}
    return {
        "first_slice_s": round(seen["first_slice"] / 1000, 2),
        "volume_s": round(seen["volume"] / 1000, 2),
        "mb": {name: round(size / 1e6, 2) for name, size in sizes.items()},
        "mb_in_all": round(sum(size for _, size in loaded) / 1e6, 1),
    }


def steps(page: Page) -> dict[str, Any]:
    """Turn the wheel, and choose among windows and views."""
    wheel = [page.evaluate(STEP, "axial") for _ in range(STEPS)]
    return {
        "wheel_median": round(statistics.median(wheel), 1),
        "wheel_most": round(max(wheel), 1),
        "window": round(page.evaluate(CHOOSE, "Mediastinum"), 1),
        "planes": round(page.evaluate(CHOOSE, "planes"), 1),
        "3d": round(page.evaluate(CHOOSE, "render"), 1),
    }


def memory(browser: Browser, page: Page) -> dict[str, float]:
    """Return what the page's process and the one that draws hold, and held at most."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    # The renderer with most memory is that of the case.
    of_kind = {
        kind: max((held(one["id"]) for one in processes if one["type"] == kind), default=(0.0, 0.0))
        for kind in ("renderer", "GPU")
    }
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable")
    heap = {one["name"]: one["value"] for one in metrics.send("Performance.getMetrics")["metrics"]}
    return {
        "page": round(of_kind["renderer"][0]),
        "page_at_most": round(of_kind["renderer"][1]),
        "drawing": round(of_kind["GPU"][0]),
        "drawing_at_most": round(of_kind["GPU"][1]),
        "script_heap": round(heap["JSHeapUsedSize"] / 2**20, 1),
    }


def held(pid: int) -> tuple[float, float]:
    """Return what a process has in memory, and had at most, in MiB."""
    found = dict(re.findall(r"(\w+):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()))
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
