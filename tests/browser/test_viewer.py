"""The viewer draws what the worker saw, where it saw it."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page
from sqlalchemy import delete

from db.session import Sessions
from db.tables import InstanceRow
from hilum.volume import apply_window
from tests.browser.looking import Troubles, check_accessible, take_pictures
from tests.phantoms import SIZE_PX, SLICES, chest

WORST = int(np.argmax((chest().lesions > 0).sum(axis=(1, 2))))
OTHER = 7
"""A slice whose lesions lie elsewhere."""

Pixels = NDArray[np.int64]


def open_case(page: Page, job_id: str, outcome: str = "volume") -> Page:
    page.goto(f"/cases/{job_id}")
    page.wait_for_selector(f"[data-viewer='{outcome}']", timeout=60_000)
    return page


@pytest.fixture
def viewer(reader: Page, finished: str) -> Page:
    """The page of a case whose volume is drawn."""
    return open_case(reader, finished)


def stage(page: Page) -> Locator:
    return page.get_by_role("application", name="Slices of the chest")


def pixels(page: Page) -> Pixels:
    """What is on the stage, [y, x, 3]."""
    picture = Image.open(io.BytesIO(stage(page).screenshot())).convert("RGB")
    return np.asarray(picture).astype(int)


def axial(page: Page) -> Pixels:
    """What is on the stage of an axial slice, at the size of the slice, [y, x, 3]."""
    drawn = pixels(page)
    side = min(drawn.shape[:2])
    top, left = ((length - side) // 2 for length in drawn.shape[:2])
    square = Image.fromarray(drawn[top : top + side, left : left + side].astype(np.uint8))
    return np.asarray(square.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)).astype(int)


def coloured(drawn: Pixels) -> NDArray[np.bool_]:
    """Tell which pixels are of no gray."""
    colourful: NDArray[np.bool_] = drawn.max(axis=-1) - drawn.min(axis=-1) > 12
    return colourful


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def shown(page: Page) -> int:
    return int(page.locator("[data-viewer]").get_attribute("data-index") or -1)


def jump(page: Page, index: int) -> None:
    page.evaluate(
        "(index) => document.dispatchEvent(new CustomEvent('hilum:slice', { detail: { index } }))",
        index,
    )


def test_lesions_lie_on_their_slice_and_side(viewer: Page) -> None:
    for index in (WORST, OTHER):
        jump(viewer, index)

        # Rows grow to the back, columns to the patient's left: as a radiologist looks at a slice.
        found = coloured(axial(viewer))
        fit = overlap(found, chest().lesions[index] > 0)
        others = [chest().lesions[near] > 0 for near in (index - 1, index + 1)]
        mirrored = [chest().lesions[index, :, ::-1] > 0, chest().lesions[index, ::-1] > 0]
        assert fit > 0.8
        assert all(overlap(found, one) < fit - 0.1 for one in (*others, *mirrored))


def test_slice_has_the_grays_of_its_window(viewer: Page) -> None:
    viewer.get_by_label("Lesions").uncheck()

    grays = axial(viewer)[..., 0]

    expected = apply_window(chest().voxels[WORST], (-1350.0, 150.0)) * 255
    inner = slice(20, -20)
    assert np.abs(grays - expected)[inner, inner].mean() < 8


def test_coronal_view_has_the_head_up_and_the_right_lung_at_the_left(viewer: Page) -> None:
    viewer.get_by_text("Coronal", exact=True).click()

    found = coloured(pixels(viewer))

    # It cuts through the middle of the chest.
    cut = chest().lesions[::-1, SIZE_PX // 2] > 0
    rows = np.repeat(cut, 8, axis=0)
    upper, lower = np.array_split(found.any(axis=1), 2)
    assert found.sum() > 0
    assert (upper.sum() < lower.sum()) == (
        rows[: len(rows) // 2].any(axis=1).sum() < rows[len(rows) // 2 :].any(axis=1).sum()
    )
    left, right = np.array_split(found, 2, axis=1)
    assert (left.sum() < right.sum()) == (
        cut[:, : SIZE_PX // 2].sum() < cut[:, SIZE_PX // 2 :].sum()
    )


def test_wheel_goes_through_the_slices(viewer: Page) -> None:
    before = pixels(viewer)

    stage(viewer).hover()
    viewer.mouse.wheel(0, 300)
    viewer.wait_for_function(f"document.querySelector('[data-viewer]').dataset.index < {WORST}")

    assert shown(viewer) == WORST - 3
    assert np.abs(pixels(viewer) - before).mean() > 1


def test_keys_go_through_the_slices(viewer: Page) -> None:
    stage(viewer).focus()

    for key, index in (
        ("ArrowUp", WORST + 1),
        ("PageUp", WORST + 11),
        ("ArrowDown", WORST + 10),
        ("PageDown", WORST),
        ("Home", 0),
        ("End", SLICES - 1),
    ):
        viewer.keyboard.press(key)

        assert shown(viewer) == index
        assert viewer.locator("[data-viewer-place]").inner_text() == f"{index} of 0 to {SLICES - 1}"


def test_slider_shows_its_slice(viewer: Page) -> None:
    viewer.get_by_role("slider", name="Slice", exact=True).fill("3")

    assert shown(viewer) == 3


def test_finger_goes_through_the_slices(viewer: Page) -> None:
    swipe = """(stage) => {
      const touch = (type, y) => stage.dispatchEvent(new TouchEvent(type, {
        bubbles: true, cancelable: true,
        touches: [new Touch({ identifier: 1, target: stage, clientX: 300, clientY: y })],
      }));
      touch("touchstart", 300);
      touch("touchmove", 330);
    }"""

    stage(viewer).evaluate(swipe)

    assert shown(viewer) == WORST - 2


def test_overlays_come_and_go(viewer: Page) -> None:
    lesions, nothing = coloured(pixels(viewer)).sum(), 0
    viewer.get_by_label("Lesions").uncheck()
    assert coloured(pixels(viewer)).sum() == nothing

    viewer.get_by_role("checkbox", name="Lungs").check()

    assert coloured(pixels(viewer)).sum() > lesions


def test_opacity_changes_how_strong_lesions_are(viewer: Page) -> None:
    def strength() -> float:
        drawn = axial(viewer)[chest().lesions[WORST] > 0]
        return float((drawn.max(axis=-1) - drawn.min(axis=-1)).mean())

    before = strength()
    viewer.get_by_role("slider", name="Opacity").fill("0.9")

    assert strength() > 1.3 * before


def test_windows_change_the_grays(viewer: Page) -> None:
    seen = {"Lung": axial(viewer)}
    for window in ("Mediastinum", "Bone"):
        viewer.get_by_text(window, exact=True).click()
        seen[window] = axial(viewer)

    # Lungs are gray in their own window, and black in those of denser tissue.
    inside = chest().lungs[WORST] > 0
    assert seen["Lung"][inside].mean() > 50
    assert seen["Mediastinum"][inside & (chest().lesions[WORST] == 0)].mean() < 30
    # Soft tissue is bright in the window of the mediastinum alone.
    assert seen["Mediastinum"].mean() > seen["Bone"].mean() + 2


def test_other_views_draw(viewer: Page) -> None:
    before = pixels(viewer)
    for view in ("Sagittal", "Three planes", "3D"):
        viewer.get_by_text(view, exact=True).click()

        drawn = pixels(viewer)
        assert np.abs(drawn - before).mean() > 2
        assert drawn.std() > 5
        take_pictures(viewer, f"viewer-{view.lower().replace(' ', '-')}")
        before = drawn


def test_volume_turns_by_keys(viewer: Page) -> None:
    stage(viewer).focus()
    viewer.keyboard.press("5")
    before = pixels(viewer)

    viewer.keyboard.press("ArrowRight")

    assert np.abs(pixels(viewer) - before).mean() > 0.5


def test_jump_comes_back_to_where_slices_are_seen(viewer: Page) -> None:
    viewer.get_by_text("3D", exact=True).click()
    viewer.evaluate(
        "document.addEventListener('hilum:slice-shown', (e) => { window.heard = e.detail.index; })"
    )

    jump(viewer, OTHER)

    assert shown(viewer) == viewer.evaluate("window.heard") == OTHER
    assert viewer.get_by_label("Axial").is_checked()
    assert overlap(coloured(axial(viewer)), chest().lesions[OTHER] > 0) > 0.8


def test_finding_leads_to_its_slice(viewer: Page) -> None:
    [finding] = viewer.locator("[data-slice]").all()

    finding.click()

    assert shown(viewer) == int(finding.get_attribute("data-slice") or -1) != WORST
    assert viewer.evaluate("document.activeElement.matches('[data-viewer-stage]')")


def test_browser_without_volumes_goes_through_pictures(reader: Page, finished: str) -> None:
    reader.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind === 'webgl2' ? null : get.call(this, kind, ...more); };"
    )
    open_case(reader, finished, "pictures")

    stage(reader).focus()
    reader.keyboard.press("Home")

    image = reader.get_by_alt_text("Slice 0 with lungs outlined and lesions tinted")
    image.evaluate("(image) => image.decode()")
    assert "WebGL 2" in reader.locator("[data-viewer-note]").inner_text()
    assert reader.get_by_label("3D").is_disabled()
    check_accessible(reader)


def test_study_whose_files_are_gone_says_so(
    reader: Page, finished: str, sessions: Sessions, troubles: Troubles
) -> None:
    with sessions.begin() as session:
        session.execute(delete(InstanceRow))

    open_case(reader, finished, "pictures")

    assert "no longer stored" in reader.locator("[data-viewer-note]").inner_text()
    # What is asked for in vain stands in the console.
    reader.wait_for_load_state("networkidle")
    assert all("Failed to load resource" in one for one in troubles)
    troubles.clear()


def test_viewer_has_no_barriers(viewer: Page) -> None:
    check_accessible(viewer)
    take_pictures(viewer, "viewer")


def test_viewer_fits_a_phone(viewer: Page) -> None:
    viewer.set_viewport_size({"width": 390, "height": 844})

    root = viewer.locator("html")
    assert root.evaluate("(root) => root.scrollWidth - root.clientWidth") == 0
    take_pictures(viewer, "viewer-phone")
