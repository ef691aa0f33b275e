"""The viewer draws what the worker saw, where it saw it."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, Route
from sqlalchemy import delete, select

from db.session import Sessions
from db.tables import InstanceRow
from hilum.phantom import Phantom, make_phantom
from hilum.storage import StudyStore
from hilum.volume import apply_window
from tests.api.caller import Caller
from tests.api.finishing import finish
from tests.browser.looking import Troubles, check_accessible, take_pictures
from tests.phantoms import SIZE_PX, SLICES, chest, oblong, zip_chest

WORST = int(np.argmax((chest().lesions > 0).sum(axis=(1, 2))))
OTHER = 7
"""A slice whose lesions lie elsewhere."""

Pixels = NDArray[np.int64]

CaseOf = Callable[[Phantom], str]
"""Have a finished case of a phantom; returns the id of its job."""


def open_case(page: Page, job_id: str, outcome: str = "volume") -> Page:
    page.goto(f"/cases/{job_id}")
    page.wait_for_selector(f"[data-viewer='{outcome}']", timeout=60_000)
    return page


@pytest.fixture
def viewer(reader: Page, finished: str) -> Page:
    """The page of a case whose volume is drawn."""
    return open_case(reader, finished)


@pytest.fixture
def case_of(caller: Caller, sessions: Sessions, store: StudyStore, tmp_path: Path) -> CaseOf:
    def have(phantom: Phantom) -> str:
        archive = zip_chest(tmp_path / "chest.zip", phantom)
        job_id: str = caller.send(archive.read_bytes()).json["id"]
        finish(sessions, store, job_id, phantom)
        return job_id

    return have


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


def fitted(drawn: Pixels, size: tuple[int, int]) -> Pixels:
    """What is on the stage of a picture of such proportions, at its size, [y, x, 3]."""
    high, wide = drawn.shape[:2]
    scale = min(high / size[0], wide / size[1])
    down, across = (round(scale * length) for length in size)
    top, left = (high - down) // 2, (wide - across) // 2
    part = Image.fromarray(drawn[top : top + down, left : left + across].astype(np.uint8))
    return np.asarray(part.resize(size[::-1], Image.Resampling.BOX)).astype(int)


def in_millimetres(upright: NDArray[np.bool_], phantom: Phantom) -> NDArray[np.bool_]:
    """Repeat the rows of an upright plane until they are as far from each other as columns are."""
    z_mm, _, x_mm = phantom.volume.spacing_mm
    return np.repeat(upright, round(z_mm / x_mm), axis=0)


def coloured(drawn: Pixels) -> NDArray[np.bool_]:
    """Tell which pixels are of no gray."""
    colourful: NDArray[np.bool_] = drawn.max(axis=-1) - drawn.min(axis=-1) > 12
    return colourful


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def crossed(drawn: Pixels) -> NDArray[np.bool_]:
    """Tell which pixels are yellower than any tissue or lesion."""
    yellow: NDArray[np.bool_] = drawn[..., :2].min(axis=-1) - drawn[..., 2] > 12
    return yellow


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


@pytest.mark.parametrize(
    ("view", "through"),
    [("Coronal", np.s_[:, SIZE_PX // 2]), ("Sagittal", np.s_[:, :, SIZE_PX // 2])],
)
def test_upright_views_have_the_head_up_and_the_patient_as_seen_from_before_or_from_the_left(
    reader: Page, case_of: CaseOf, view: str, through: Any
) -> None:
    # A lung full of lesions is cut by every plane.
    phantom = replace(chest(), lesions=np.where(chest().lungs == 1, 1, 0).astype(np.uint8))
    phantom = replace(phantom, lesions=np.roll(phantom.lesions, SIZE_PX // 5, axis=2))
    page = open_case(reader, case_of(phantom))

    page.get_by_text(view, exact=True).click()

    # Columns grow to the patient's left, or to the back; rows grow to the head and are drawn from there.
    expected = in_millimetres(phantom.lesions[through][::-1] > 0, phantom)
    found = coloured(fitted(pixels(page), expected.shape))
    fit = overlap(found, expected)
    assert fit > 0.85
    assert all(overlap(found, one) < fit - 0.1 for one in (expected[:, ::-1], expected[::-1]))


def test_oblong_pixels_keep_the_proportions_of_the_patient(reader: Page, case_of: CaseOf) -> None:
    job_id = case_of(oblong(chest()))

    open_case(reader, job_id)

    assert overlap(coloured(axial(reader)), chest().lesions[WORST] > 0) > 0.8
    image = "(one) => [one.naturalWidth, one.naturalHeight]"
    assert reader.locator("[data-viewer-picture]").evaluate(image) == [SIZE_PX, SIZE_PX]


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
    # Three planes lie beside each other, on a stage of their own proportions.
    size = (SLICES, SLICES)
    before = fitted(pixels(viewer), size)
    for view in ("Sagittal", "Three planes", "3D"):
        viewer.get_by_text(view, exact=True).click()

        drawn = fitted(pixels(viewer), size)
        assert np.abs(drawn - before).mean() > 2
        assert drawn.std() > 5
        take_pictures(viewer, f"viewer-{view.lower().replace(' ', '-')}")
        before = drawn


def test_volume_turns_by_keys_and_by_dragging(viewer: Page) -> None:
    stage(viewer).focus()
    viewer.keyboard.press("5")
    before = pixels(viewer)

    viewer.keyboard.press("ArrowRight")

    turned = pixels(viewer)
    assert np.abs(turned - before).mean() > 0.5
    stage(viewer).hover()
    viewer.mouse.down()
    viewer.mouse.move(500, 500, steps=3)
    viewer.mouse.up()
    assert np.abs(pixels(viewer) - turned).mean() > 0.5


def test_click_in_three_planes_leads_all_of_them_there(viewer: Page) -> None:
    viewer.get_by_text("Three planes", exact=True).click()
    box = stage(viewer).bounding_box()
    assert box is not None

    # The coronal plane is above at the right; a quarter of it from its top is near the head.
    stage(viewer).click(position={"x": 0.8 * box["width"], "y": 0.125 * box["height"]})

    assert SLICES * 0.65 < shown(viewer) < SLICES * 0.85


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
    assert finding.get_attribute("aria-current") == "true"


def test_cross_marks_the_finding_until_somebody_goes_on(viewer: Page) -> None:
    viewer.locator("[data-slice]").first.click()

    # The middle of the box of rows and columns 10 to 39.
    yellow = crossed(axial(viewer))
    assert abs(int(yellow.sum(axis=0).argmax()) - 24) <= 1
    assert abs(int(yellow.sum(axis=1).argmax()) - 24) <= 1
    viewer.keyboard.press("ArrowUp")
    assert crossed(axial(viewer)).sum() < yellow.sum() / 10


def test_pictures_are_there_while_the_volume_is_on_its_way(reader: Page, finished: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    reader.route("**/volume.nii.gz*", hold)
    reader.goto(f"/cases/{finished}")

    stage(reader).focus()
    reader.keyboard.press("ArrowUp")

    picture = reader.get_by_alt_text(f"Slice {WORST + 1} with lungs outlined and lesions tinted")
    picture.evaluate("(image) => image.decode()")
    assert reader.get_by_role("progressbar", name="Loading the volume").is_visible()
    assert reader.get_by_label("3D").is_disabled()
    held[0].continue_()
    reader.wait_for_selector("[data-viewer='volume']")
    assert shown(reader) == WORST + 1


def test_volume_that_breaks_off_is_told_and_asked_for_again(
    reader: Page,
    finished: str,
    sessions: Sessions,
    store: StudyStore,
    tmp_path: Path,
    troubles: Troubles,
) -> None:
    with sessions.begin() as session:
        key = session.scalars(select(InstanceRow.key).order_by(InstanceRow.id)).all()[SLICES // 2]
    [path] = store.local_files([key], tmp_path)
    whole = path.rename(path.with_suffix(".whole"))
    path.write_bytes(b"no DICOM at all")
    open_case(reader, finished, "pictures")
    note = reader.locator("[data-viewer-note]")
    assert "The connection broke off after" in note.inner_text()
    assert "Check the network, then load it again." in note.inner_text()
    check_accessible(reader)
    take_pictures(reader, "viewer-broken-off")

    whole.replace(path)
    reader.get_by_role("button", name="Load the volume").click()

    reader.wait_for_selector("[data-viewer='volume']")
    assert note.inner_text() == ""
    assert overlap(coloured(axial(reader)), chest().lesions[WORST] > 0) > 0.8
    troubles.clear()


LOSE = "(canvas) => canvas.getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"


def test_graphics_that_gave_up_are_told_and_tried_again(viewer: Page) -> None:
    stage(viewer).focus()
    viewer.keyboard.press("ArrowUp")
    viewer.keyboard.press("5")

    stage(viewer).locator("canvas").evaluate(LOSE)

    viewer.wait_for_selector("[data-viewer='pictures']")
    assert "graphics of this machine gave up" in viewer.locator("[data-viewer-note]").inner_text()
    picture = viewer.get_by_alt_text(f"Slice {WORST + 1} with lungs outlined and lesions tinted")
    picture.evaluate("(image) => image.decode()")
    viewer.get_by_role("button", name="Load the volume").click()
    viewer.wait_for_selector("[data-viewer='volume']")
    assert shown(viewer) == WORST + 1
    assert overlap(coloured(axial(viewer)), chest().lesions[WORST + 1] > 0) > 0.8


def test_long_series_waits_to_be_asked_for_where_there_is_no_graphics_card(
    reader: Page, case_of: CaseOf
) -> None:
    open_case(reader, case_of(make_phantom(slices=101, size_px=SIZE_PX)), "pictures")
    assert "no graphics card" in reader.locator("[data-viewer-note]").inner_text()

    reader.get_by_role("button", name="Load the volume").click()

    reader.wait_for_selector("[data-viewer='volume']", timeout=60_000)


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


@pytest.mark.parametrize(("view", "axis"), [("Coronal", 1), ("Sagittal", 2)])
def test_keys_lead_through_the_plane_that_is_seen(viewer: Page, view: str, axis: int) -> None:
    viewer.get_by_text(view, exact=True).click()
    before = pixels(viewer)
    stage(viewer).focus()

    for _ in range(SIZE_PX // 8):
        viewer.keyboard.press("ArrowUp")

    place = viewer.locator("[data-viewer-place]").inner_text()
    assert place == f"{SIZE_PX // 2 + SIZE_PX // 8} of 0 to {chest().lungs.shape[axis] - 1}"
    assert np.abs(pixels(viewer) - before).mean() > 2
    assert shown(viewer) == WORST


def test_study_whose_files_are_gone_says_so(
    reader: Page, finished: str, sessions: Sessions, troubles: Troubles
) -> None:
    with sessions.begin() as session:
        session.execute(delete(InstanceRow))

    open_case(reader, finished, "pictures")

    assert "no longer stored" in reader.locator("[data-viewer-note]").inner_text()
    assert stage(reader).is_hidden()
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
