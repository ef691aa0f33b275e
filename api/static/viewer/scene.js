// SPDX-License-Identifier: Apache-2.0
// The volume with its masks, drawn by NiiVue.
import { download } from "./download.js";

// Share of the download that the volume takes; masks are small.
const VOLUME_SHARE = 0.95;
// Lungs are large: as strong as lesions they would hide what lies in them.
const LUNG_STRENGTH = 0.5;
// In 3D lungs are glass around lesions: so much of it in all, over the voxels on the way; less than so much of one is nothing.
const GLASS = 2;
const FAINTEST = 0.012;
// Azimuth and elevation in degrees: from before the patient, a little from the side and above.
const FRONT = [160, 15];
const LESIONS = 1;
const LUNGS = 2;

/** Tell whether this browser can draw volumes. */
export function hasWebGl() {
  return document.createElement("canvas").getContext("webgl2") !== null && "DecompressionStream" in globalThis;
}

/** Tell whether this machine draws by its processor, which takes a minute for a long series. */
export function isSlow() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const named = gl.getExtension("WEBGL_debug_renderer_info");
  return /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

export class Scene {
  /** Fetch everything, and return what draws it on a canvas. */
  static async open(canvas, found, tell) {
    // A script of the older kind: as a module it leaves its name in the page.
    const script = import(found.script);
    const arriving = download(found.volume, (share, bytes) => tell(share * VOLUME_SHARE, bytes));
    const [volume] = await Promise.all([arriving, script]);
    const masks = await Promise.all([download(found.lesions), download(found.lungs)]);
    const scene = new Scene(canvas, found);
    await scene.build(volume, masks);
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
    const both = [1, 2].map((value) => ({ value, color: this.found.lung_color }));
    this.niivue.volumes = [
      await image(volume, "ct.nii", "gray", window),
      await mask(lesions, "lesions.nii", this.found.labels),
      await mask(lungs, "lungs.nii", both),
    ];
    this.niivue.setRenderAzimuthElevation(...FRONT);
    this.niivue.onLocationChange = () => this.moved();
  }

  /** Draw a view with a window and overlays. */
  paint({ view, window, lesions, lungs, opacity, cross }) {
    const { niivue: drawing } = this;
    const isRender = view === "render";
    const [ct] = drawing.volumes;
    [ct.cal_min, ct.cal_max] = window;
    ct.opacity = isRender ? 0 : 1;
    drawing.volumes[LESIONS].opacity = lesions ? (isRender ? 1 : opacity) : 0;
    drawing.volumes[LUNGS].opacity = isRender ? Math.max(FAINTEST, GLASS / this.size[1]) : lungs ? opacity * LUNG_STRENGTH : 0;
    drawing.opts.crosshairWidth = cross ? 1 : 0;
    drawing.setSliceType(niivue.SLICE_TYPE[TYPES[view]]);
    this.refresh({ ct: `${window} ${isRender}`, marks: `${lesions} ${lungs} ${opacity} ${isRender}` });
    drawing.drawScene();
  }

  /** Colour anew what changed: without a graphics card a long series takes seconds for each of its volumes. */
  refresh(look) {
    const { niivue: drawing, look: before } = this;
    const { volumes } = drawing;
    this.look = look;
    if (!before) {
      // The first time all of them, at once; added one by one each would be coloured with every other.
      drawing.setVolume(volumes[0], 0);
      return;
    }
    if (look.ct !== before.ct) drawing.refreshLayers(volumes[0], 0);
    // The second mask is laid into the texture of the first.
    if (look.marks !== before.marks) for (const layer of [LESIONS, LUNGS]) drawing.refreshLayers(volumes[layer], layer);
  }

  /** Voxels to the right, the front and the head. */
  get size() {
    return [...this.niivue.volumes[0].dimsRAS].slice(1, 4);
  }

  /** Return where a voxel of the file, [x, y, z], lies to the right, the front and the head. */
  voxel(at) {
    const { size } = this;
    // Which axis of the file each is, from 1, and below 0 where it runs the other way.
    return this.niivue.volumes[0].permRAS.map((axis, to) => (axis < 0 ? size[to] - 1 - at[-axis - 1] : at[axis - 1]));
  }

  /** Show the slices through a voxel, [x, y, z]. */
  show(at) {
    const { size } = this;
    at.forEach((index, axis) => { this.niivue.scene.crosshairPos[axis] = (index + 0.5) / size[axis]; });
    this.niivue.drawScene();
  }

  /** Turn the volume in 3D, by degrees. */
  turn(azimuth, elevation) {
    const { scene } = this.niivue;
    this.niivue.setRenderAzimuthElevation(scene.renderAzimuth + azimuth, scene.renderElevation + elevation);
  }

  /** Undo what was zoomed, moved and turned. */
  reset() {
    this.niivue.setPan2Dxyzmm([0, 0, 0, 1]);
    this.niivue.setRenderAzimuthElevation(...FRONT);
  }

  hide() {
    this.canvas.hidden = true;
  }

  moved() {
    const { size } = this;
    const at = [...this.niivue.scene.crosshairPos].map((share, axis) => Math.round(share * size[axis] - 0.5));
    this.onMove(at.map((index, axis) => Math.min(Math.max(index, 0), size[axis] - 1)));
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
