// SPDX-License-Identifier: Apache-2.0
// Wheel, keys and fingers on the stage of the viewer.

// A notch of a wheel; what a touchpad sends is smaller and adds up to one.
const NOTCH = 100;
// Distance of a finger on the screen for one slice.
const SWIPE = 14;
const PAGE = 10;
const TURN = 10;

/** Let a stage move its viewer; the drawing library hears nothing of what is handled here. */
export function listen(stage, viewer) {
  const options = { capture: true, passive: false };
  stage.addEventListener("wheel", wheel(viewer), options);
  stage.addEventListener("keydown", (event) => key(event, viewer), options);
  swipes(stage, viewer, options);
  // There a double click would forget the window.
  stage.addEventListener("dblclick", (event) => event.stopPropagation(), options);
}

// In three planes and in 3D the drawing library knows what is pointed at.
const isPlane = (viewer) => ["axial", "coronal", "sagittal"].includes(viewer.view);

function wheel(viewer) {
  let rest = 0;
  return (event) => {
    if (!isPlane(viewer) || event.ctrlKey) return;
    handled(event);
    const notches = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / NOTCH : Math.sign(event.deltaY);
    rest += notches;
    const steps = Math.trunc(rest);
    rest -= steps;
    // Down is towards the feet, as on a workstation.
    if (steps) viewer.step(-steps);
  };
}

function key(event, viewer) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  // The library has keys of its own, which nobody would expect.
  event.stopPropagation();
  const act = (viewer.view === "render" && TURNS[event.key]) || KEYS[event.key.length > 1 ? event.key : event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act(viewer);
  } else if (event.key >= "1" && event.key <= "9") {
    viewer.choose("view", Number(event.key) - 1);
  }
}

const KEYS = {
  ArrowUp: (viewer) => viewer.step(1),
  ArrowDown: (viewer) => viewer.step(-1),
  PageUp: (viewer) => viewer.step(PAGE),
  PageDown: (viewer) => viewer.step(-PAGE),
  Home: (viewer) => viewer.move(0),
  End: (viewer) => viewer.move(Infinity),
  0: (viewer) => viewer.screen.reset?.(),
  w: (viewer) => viewer.choose("window"),
  l: (viewer) => viewer.toggle("lesions"),
  u: (viewer) => viewer.toggle("lungs"),
};

const TURNS = {
  ArrowLeft: (viewer) => viewer.screen.turn(-TURN, 0),
  ArrowRight: (viewer) => viewer.screen.turn(TURN, 0),
  ArrowUp: (viewer) => viewer.screen.turn(0, TURN),
  ArrowDown: (viewer) => viewer.screen.turn(0, -TURN),
};

function swipes(stage, viewer, options) {
  let from = null;
  const isOurs = (event) => isPlane(viewer) && event.touches.length === 1;
  stage.addEventListener("touchstart", (event) => {
    from = isOurs(event) ? event.touches[0].clientY : null;
    if (from !== null) event.stopPropagation();
  }, options);
  stage.addEventListener("touchmove", (event) => {
    if (from === null || !isOurs(event)) return;
    handled(event);
    const steps = Math.trunc((event.touches[0].clientY - from) / SWIPE);
    if (!steps) return;
    from += steps * SWIPE;
    viewer.step(-steps);
  }, options);
}

function handled(event) {
  event.preventDefault();
  event.stopPropagation();
}
