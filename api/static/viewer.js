// SPDX-License-Identifier: Apache-2.0
// The viewer of a case: pictures of the server at once, the volume as soon as it is here.
//
// Whatever has `data-slice` shows that slice when it is clicked. Scripts move the viewer by an event, and
// hear by another where it stands:
//   document.dispatchEvent(new CustomEvent("hilum:slice", { detail: { index: 12 } }));
//   document.addEventListener("hilum:slice-shown", (event) => event.detail.index);
import { listen } from "./viewer/hands.js";
import { Pictures } from "./viewer/pictures.js";
import { Scene, hasWebGl, isSlow } from "./viewer/scene.js";

// The axis of a voxel, [x, y, z] to the right, the front and the head, that a plane is led along, and its words.
const PLANES = { axial: [2, "Slice"], coronal: [1, "Back to front"], sagittal: [0, "Left to right"] };

const MB = 1e6;
// So many slices are drawn soon enough without a graphics card.
const FEW = 100;
const MEANWHILE = "Slices come as pictures, with lungs and lesions.";

class Viewer {
  constructor(root) {
    const find = (name) => root.querySelector(`[data-viewer-${name}]`);
    this.root = root;
    this.found = JSON.parse(find("case").textContent);
    this.parts = Object.fromEntries(
      ["stage", "canvas", "load", "words", "progress", "note", "again", "way", "slice", "place", "lesions", "lungs", "opacity"]
        .map((name) => [name, find(name)]),
    );
    this.at = [0, 0, this.found.begin];
    this.size = [1, 1, this.found.count];
    this.isCrossed = false;
    this.pictures = new Pictures(find("picture"), this.found);
    this.screen = this.pictures;
    root.querySelectorAll("[data-viewer-color]").forEach((one) => {
      one.style.backgroundColor = `rgb(${one.dataset.viewerColor})`;
    });
  }

  /** Show the first slice, take orders, and fetch the volume. */
  async start() {
    this.listen();
    this.go(this.at);
    if (!hasWebGl()) return this.settle(`This browser draws no volumes (it lacks WebGL 2). ${MEANWHILE}`);
    if (this.found.count <= FEW || !isSlow()) return this.load();
    this.settle(`${MEANWHILE} This machine has no graphics card, so that windows, planes and 3D take it a while.`, true);
  }

  /** Fetch the volume and put it in the place of the pictures; on failure say what to do. */
  async load() {
    this.say("");
    this.parts.load.hidden = false;
    try {
      this.take(await Scene.open(this.parts.canvas, this.found, (share, bytes) => this.tell(share, bytes)));
    } catch (error) {
      console.info("viewer: no volume", error);
      if (error.isGone) this.close(error.reason);
      else this.fallBack(...excuse(error));
    }
  }

  take(scene) {
    scene.onMove = (at) => this.arrive(at);
    scene.onLost = () => this.fallBack(`The graphics of this machine gave up. ${MEANWHILE} Close other pages, then load it again.`, true);
    this.pictures.hide();
    this.screen = scene;
    if (this.size.join() !== scene.size.join()) {
      this.size = scene.size;
      this.at = [this.size[0] >> 1, this.size[1] >> 1, this.at[2]];
    }
    this.paint();
    this.go(this.at);
    this.settle("");
    this.root.dataset.viewer = "volume";
  }

  /** Go back to pictures, with a reason; by a button the volume is fetched again where that may help. */
  fallBack(words, mayHelp) {
    // What drew on a canvas once keeps it, even where it is lost.
    const fresh = this.parts.canvas.cloneNode();
    fresh.hidden = true;
    this.parts.canvas.replaceWith(fresh);
    this.parts.canvas = fresh;
    this.screen = this.pictures;
    this.choose("view", 0);
    this.root.querySelectorAll("[data-needs-volume]").forEach((one) => { one.disabled = true; });
    this.parts.slice.disabled = false;
    this.go(this.at);
    this.settle(words, mayHelp);
  }

  /** Show nothing more: what pictures are drawn from is gone as well. */
  close(reason) {
    this.parts.stage.hidden = true;
    this.parts.slice.disabled = true;
    this.settle(`The images of this study are gone; its report remains. ${reason}`);
  }

  /** Let only that be moved which is of any use in a view. */
  allow(view) {
    for (const one of [this.parts.slice, ...this.root.querySelectorAll("[data-needs-volume]")]) {
      one.disabled = view === "render" && !one.matches('[name="viewer-view"], [data-viewer-lesions]');
    }
  }

  listen() {
    const { parts } = this;
    parts.slice.addEventListener("input", () => this.move(Number(parts.slice.value)));
    for (const one of this.root.querySelectorAll("[data-needs-volume]")) {
      one.addEventListener("input", () => this.paint());
    }
    parts.again.addEventListener("click", () => this.load());
    document.addEventListener("hilum:slice", (event) => this.jump(event.detail.index));
    document.addEventListener("click", (event) => {
      const link = event.target.closest("[data-slice]");
      if (!link || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.jump(Number(link.dataset.slice), link.dataset.at?.split(" ").map(Number));
      document.querySelectorAll("[data-slice][aria-current]").forEach((one) => one.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
    });
    listen(parts.stage, this);
  }

  /** Choose a view or a window: the next one, or the one at a place. */
  choose(name, place) {
    const all = [...this.root.querySelectorAll(`[name="viewer-${name}"]`)];
    const next = place ?? (all.findIndex((one) => one.checked) + 1) % all.length;
    if (!all[next] || all[next].disabled) return;
    all[next].checked = true;
    this.paint();
  }

  /** Turn an overlay on or off. */
  toggle(name) {
    const box = this.parts[name];
    if (box.disabled) return;
    box.checked = !box.checked;
    this.paint();
  }

  get view() {
    return this.root.querySelector('[name="viewer-view"]:checked').value;
  }

  /** The plane that wheel, keys and slider lead through. */
  get plane() {
    return this.view in PLANES ? this.view : "axial";
  }

  get axis() {
    return PLANES[this.plane][0];
  }

  /** Draw what is chosen. */
  paint() {
    const { view, parts } = this;
    const window = this.root.querySelector('[name="viewer-window"]:checked').value;
    this.root.dataset.view = view;
    this.screen.paint({
      view,
      window: this.found.windows[window],
      lesions: parts.lesions.checked,
      lungs: parts.lungs.checked,
      opacity: Number(parts.opacity.value),
      cross: this.isCrossed || view === "planes",
    });
    if (this.screen !== this.pictures) this.allow(view);
    [, parts.way.textContent] = PLANES[this.plane];
    this.write();
  }

  /** Show a slice that somebody pointed at elsewhere, where slices can be seen; a cross marks [x, y] of it. */
  jump(index, place) {
    if (this.view !== "axial" && this.view !== "planes") this.choose("view", 0);
    const at = place && this.screen.voxel?.([...place, index]);
    this.cross(Boolean(at));
    this.go(at ?? this.at.with(2, index));
    this.parts.stage.focus();
  }

  /** Draw a cross, or none: it stays until somebody goes on. */
  cross(isWanted) {
    if (this.isCrossed === isWanted) return;
    this.isCrossed = isWanted;
    this.paint();
  }

  /** Step to the head; in coronal views to the front, in sagittal ones to the right. */
  step(count) {
    this.cross(false);
    this.move(this.at[this.axis] + count);
  }

  /** Show a slice of the plane that is seen; axial ones count from 0 at the feet. */
  move(index) {
    this.go(this.at.with(this.axis, Math.round(index)));
  }

  /** Show the slices through a voxel. */
  go(at) {
    const wanted = at.map((index, axis) => Math.min(Math.max(index, 0), this.size[axis] - 1));
    this.screen.show(wanted);
    this.arrive(wanted);
  }

  /** Say where the viewer stands. */
  arrive(at) {
    this.at = at;
    this.write();
    const index = at[2];
    this.root.dataset.index = index;
    document.dispatchEvent(new CustomEvent("hilum:slice-shown", { detail: { index } }));
  }

  write() {
    const { slice, place } = this.parts;
    const [index, last] = [this.at[this.axis], this.size[this.axis] - 1];
    slice.max = last;
    slice.value = index;
    place.value = `${index} of 0 to ${last}`;
  }

  tell(share, bytes) {
    this.parts.progress.value = share;
    this.parts.words.textContent = `Loading the volume, ${Math.round(100 * share)} % of ${Math.round(bytes / MB)} MB`;
  }

  settle(words, mayHelp = false) {
    this.parts.load.hidden = true;
    this.say(words, mayHelp);
    this.root.dataset.viewer = "pictures";
  }

  /** Write a sentence above the stage, and offer to try again. */
  say(words, mayHelp = false) {
    this.parts.note.textContent = words;
    this.parts.again.hidden = !mayHelp;
  }
}

/** Return the words for a failure, and whether to try again may help. */
function excuse(error) {
  if (error instanceof RangeError) {
    return [`This browser has too little memory for the volume. ${MEANWHILE} Close other pages, then load it again.`, true];
  }
  if (error.reason) return [`The volume could not be loaded. ${MEANWHILE} ${error.reason}`, error.passes];
  const share = Math.floor(100 * (error.share ?? 0));
  const what = share ? `The connection broke off after ${share} % of the volume.` : "The server could not be reached for the volume.";
  return [`${what} ${MEANWHILE} Check the network, then load it again.`, true];
}

document.querySelectorAll("[data-viewer]").forEach((root) => new Viewer(root).start());
