// SPDX-License-Identifier: Apache-2.0
// A gzipped NIfTI file, unpacked as it arrives.

const HEADER = 352;
// Where the header has the number of voxels along x, y, z, and the bits of each (nifti1.h).
const DIM = 40;
const BITPIX = 72;

/** Return the file at an address; tell how much of it is there, 0..1. */
export async function download(address, tell = () => {}) {
  const response = await fetch(address);
  if (!response.ok) throw await refusal(response);
  const pieces = response.body.pipeThrough(new DecompressionStream("gzip")).getReader();
  let start = new Uint8Array();
  while (start.length < HEADER) {
    const { done, value } = await pieces.read();
    if (done) throw new Error("The file ends within its header.");
    start = joined(start, value);
  }
  // One array, filled piece by piece: a long series is never held twice.
  const whole = new Uint8Array(size(start));
  let filled = 0;
  for (let value = start, done = false; !done; { done, value } = await pieces.read()) {
    whole.set(value, filled);
    filled += value.length;
    tell(filled / whole.length);
  }
  if (filled !== whole.length) throw new Error(`The file has ${filled} bytes, expected ${whole.length}.`);
  return whole.buffer;
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  return Object.assign(new Error(`HTTP ${response.status}`), { reason: problem.detail });
}

function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

function size(start) {
  const header = new DataView(start.buffer);
  const voxels = [1, 2, 3].map((axis) => header.getInt16(DIM + 2 * axis, true)).reduce((one, other) => one * other);
  return HEADER + (voxels * header.getInt16(BITPIX, true)) / 8;
}
