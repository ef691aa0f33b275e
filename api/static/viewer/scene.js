// SPDX-License-Identifier: Apache-2.0
// The volume with its masks, drawn by NiiVue.
import { download } from "./download.js";

// Share of the download that the volume takes; masks are small.
const VOLUME_SHARE = 0.95;
// Lungs are large: as strong as lesions they would hide what lies in them.
const LUNG_STRENGTH = 0.5;
// In 3D lungs are glass around solid lesions.
const GLASS = 0.12;
// Azimuth and elevation in degrees: from before the patient, a little from the side and above.
const FRONT = [160, 15];
const LESIONS = 1;
const LUNGS = 2;

/** Tell whether this browser can draw volumes. */
export function hasWebGl() {
  return document.createElement("canvas").getContext("webgl2") !== null && "DecompressionStream" in globalThis;
}

export class Scene {
  /** Fetch everything, and return what draws it on a canvas. */
  static async open(canvas, found, tell) {
    // A script of the older kind: as a module it leaves its name in the page.
    const script = import(found.script);
    const arriving = download(found.volume, (share) => tell(share * VOLUME_SHARE));
    const [volume] = await Promise.all([arriving, script]);
    const masks = await Promise.all([download(found.lesions), download(found.lungs)]);
    const scene = new Scene(canvas, found);
    await scene.build(volume, masks);
    tell(1);
    return scene;
  }

  constructor(canvas, found) {
    this.canvas = canvas;
    this.found = found;
    this.onMove = () => {};
    this.onLost = () => {};
    this.niivue = new niivue.Niivue({
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      dragAndDropEnabled: false,
      dragMode: niivue.DRAG_MODE.pan,
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
      crosshairColor: [1, 0.8, 0.2, 0.8],
      logLevel: "error",
      loadingText: "",
    });
    canvas.addEventListener("webglcontextlost", () => this.onLost());
  }

  async build(volume, [lesions, lungs]) {
    this.canvas.hidden = false;
    await this.niivue.attachToCanvas(this.canvas);
    // The stage around it has the focus and the keys.
    this.canvas.removeAttribute("tabindex");
    // Any window will do: what is chosen is painted next.
    const [window] = Object.values(this.found.windows);
    this.niivue.addVolume(await image(volume, "ct.nii", "gray", window));
    this.niivue.addVolume(await mask(lesions, "lesions.nii", this.found.labels));
    const both = [1, 2].map((value) => ({ value, color: this.found.lung_color }));
    this.niivue.addVolume(await mask(lungs, "lungs.nii", both));
    this.niivue.setRenderAzimuthElevation(...FRONT);
    this.niivue.onLocationChange = () => this.moved();
  }

  /** Draw a view with a window and overlays. */
  paint({ view, window, lesions, lungs, opacity }) {
    const { niivue: drawing } = this;
    const isRender = view === "render";
    const [ct] = drawing.volumes;
    [ct.cal_min, ct.cal_max] = window;
    ct.opacity = isRender ? 0 : 1;
    drawing.volumes[LESIONS].opacity = lesions ? (isRender ? 1 : opacity) : 0;
    drawing.volumes[LUNGS].opacity = isRender ? GLASS : lungs ? opacity * LUNG_STRENGTH : 0;
    drawing.opts.crosshairWidth = view === "planes" ? 1 : 0;
    drawing.setSliceType(niivue.SLICE_TYPE[TYPES[view]]);
    drawing.updateGLVolume();
  }

  /** Show a slice of the volume. */
  show(index) {
    this.niivue.scene.crosshairPos[2] = (index + 0.5) / this.found.count;
    this.niivue.drawScene();
  }

  /** Turn the volume in 3D, by degrees. */
  turn(azimuth, elevation) {
    const { scene } = this.niivue;
    this.niivue.setRenderAzimuthElevation(scene.renderAzimuth + azimuth, scene.renderElevation + elevation);
  }

  hide() {
    this.canvas.hidden = true;
  }

  moved() {
    const index = Math.round(this.niivue.scene.crosshairPos[2] * this.found.count - 0.5);
    this.onMove(Math.min(Math.max(index, 0), this.found.count - 1));
  }
}

const TYPES = {
  axial: "AXIAL",
  coronal: "CORONAL",
  sagittal: "SAGITTAL",
  planes: "MULTIPLANAR",
  render: "RENDER",
};

function image(buffer, name, colormap, [low, high]) {
  return niivue.NVImage.new(buffer, name, colormap, 1, null, low, high);
}

async function mask(buffer, name, labels) {
  const highest = Math.max(...labels.map((one) => one.value));
  const found = await image(buffer, name, "gray", [0, highest]);
  const [R, G, B] = [0, 1, 2].map((channel) => [0, ...labels.map((one) => one.color[channel])]);
  const I = [0, ...labels.map((one) => one.value)];
  found.setColormapLabel({ R, G, B, A: I.map((value) => (value ? 255 : 0)), I, labels: I.map(String) });
  return found;
}
