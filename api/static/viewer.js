// SPDX-License-Identifier: Apache-2.0
// The viewer of a case: pictures of the server at once, the volume as soon as it is here.
//
// Whatever has `data-slice` shows that slice when it is clicked. Scripts move the viewer by an event, and
// hear by another where it stands:
//   document.dispatchEvent(new CustomEvent("hilum:slice", { detail: { index: 12 } }));
//   document.addEventListener("hilum:slice-shown", (event) => event.detail.index);
import { listen } from "./viewer/hands.js";
import { Pictures } from "./viewer/pictures.js";
import { Scene, hasWebGl } from "./viewer/scene.js";

class Viewer {
  constructor(root) {
    const find = (name) => root.querySelector(`[data-viewer-${name}]`);
    this.root = root;
    this.found = JSON.parse(find("case").textContent);
    this.parts = Object.fromEntries(
      ["stage", "canvas", "load", "words", "progress", "note", "slice", "place", "lesions", "lungs", "opacity"]
        .map((name) => [name, find(name)]),
    );
    this.index = this.found.begin;
    this.screen = new Pictures(find("picture"), this.found);
    root.querySelectorAll("[data-viewer-color]").forEach((one) => {
      one.style.backgroundColor = `rgb(${one.dataset.viewerColor})`;
    });
  }

  /** Show the first slice, take orders, and fetch the volume. */
  async start() {
    this.listen();
    this.go(this.index);
    if (!hasWebGl()) {
      return this.settle("This browser draws no volumes (it lacks WebGL 2): slices come as pictures, with lungs and lesions.");
    }
    try {
      await this.load();
    } catch (error) {
      console.info("viewer: no volume", error);
      this.settle(`The volume could not be shown, so slices come as pictures. ${error.reason ?? ""}`);
    }
  }

  /** Fetch the volume and put it in the place of the pictures. */
  async load() {
    const scene = await Scene.open(this.parts.canvas, this.found, (share) => this.tell(share));
    scene.onMove = (index) => this.arrive(index);
    scene.onLost = () => this.fallBack();
    this.pictures = this.screen;
    this.pictures.hide();
    this.screen = scene;
    this.root.querySelectorAll("[data-needs-volume]").forEach((one) => { one.disabled = false; });
    this.paint();
    this.go(this.index);
    this.settle("");
    this.root.dataset.viewer = "volume";
  }

  /** Go back to pictures where the graphics card gave up. */
  fallBack() {
    this.screen.hide();
    this.screen = this.pictures;
    this.root.querySelectorAll("[data-needs-volume]").forEach((one) => { one.disabled = true; });
    this.go(this.index);
    this.settle("The graphics of this machine gave up, so slices come as pictures.");
  }

  listen() {
    const { parts } = this;
    parts.slice.addEventListener("input", () => this.go(Number(parts.slice.value)));
    for (const one of this.root.querySelectorAll("[data-needs-volume]")) {
      one.addEventListener("input", () => this.paint());
    }
    document.addEventListener("hilum:slice", (event) => this.jump(event.detail.index));
    document.addEventListener("click", (event) => {
      const link = event.target.closest("[data-slice]");
      if (!link || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.jump(Number(link.dataset.slice));
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

  /** Draw what is chosen. */
  paint() {
    const window = this.root.querySelector('[name="viewer-window"]:checked').value;
    this.root.dataset.view = this.view;
    this.screen.paint({
      view: this.view,
      window: this.found.windows[window],
      lesions: this.parts.lesions.checked,
      lungs: this.parts.lungs.checked,
      opacity: Number(this.parts.opacity.value),
    });
  }

  /** Show a slice that somebody pointed at elsewhere: where slices can be seen. */
  jump(index) {
    if (this.view !== "axial" && this.view !== "planes") this.choose("view", 0);
    this.go(index);
    this.parts.stage.focus();
  }

  step(count) {
    this.go(this.index + count);
  }

  /** Show a slice; slices count from 0 at the feet. */
  go(index) {
    const wanted = Math.min(Math.max(Math.round(index), 0), this.found.count - 1);
    this.screen.show(wanted);
    this.arrive(wanted);
  }

  /** Say which slice is shown. */
  arrive(index) {
    this.index = index;
    this.parts.slice.value = index;
    this.parts.place.value = `${index} of 0 to ${this.found.count - 1}`;
    this.root.dataset.index = index;
    document.dispatchEvent(new CustomEvent("hilum:slice-shown", { detail: { index } }));
  }

  tell(share) {
    this.parts.progress.value = share;
    this.parts.words.textContent = `Loading the volume, ${Math.round(100 * share)} %`;
  }

  settle(words) {
    this.parts.load.hidden = true;
    this.parts.note.textContent = words;
    this.root.dataset.viewer = "pictures";
  }
}

document.querySelectorAll("[data-viewer]").forEach((root) => new Viewer(root).start());
