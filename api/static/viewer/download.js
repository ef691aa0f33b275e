// SPDX-License-Identifier: Apache-2.0
// A gzipped NIfTI file, unpacked as it arrives.

const HEADER = 352;
// Where the header has the number of voxels along x, y, z, and the bits of each (nifti1.h).
const DIM = 40;
const BITPIX = 72;

/** Return the file at an address; tell how much of it is there, 0..1, and its bytes in all. */
export async function download(address, tell = () => {}) {
  const file = { whole: null, filled: 0 };
  try {
    await fill(file, await reached(address), tell);
  } catch (error) {
    if ("reason" in error || error instanceof RangeError) throw error;
    // The connection, or what it carried, broke off.
    throw Object.assign(new Error("cut off", { cause: error }), { share: share(file) });
  }
  return file.whole.buffer;
}

async function reached(address) {
  const response = await fetch(address);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const reason = problem.detail ?? `The server answered ${response.status}.`;
  throw Object.assign(new Error(reason), { reason, passes: response.status >= 500, isGone: response.status === 410 });
}

async function fill(file, response, tell) {
  const pieces = response.body.pipeThrough(new DecompressionStream("gzip")).getReader();
  let start = new Uint8Array();
  while (start.length < HEADER) {
    const { done, value } = await pieces.read();
    if (done) throw new Error("The file ends within its header.");
    start = joined(start, value);
  }
  // One array, filled piece by piece: a long series is never held twice.
  file.whole = new Uint8Array(size(start));
  for (let value = start, done = false; !done; { done, value } = await pieces.read()) {
    file.whole.set(value, file.filled);
    file.filled += value.length;
    tell(share(file), file.whole.length);
  }
  if (share(file) < 1) throw new Error("The file ends within its voxels.");
}

function share({ whole, filled }) {
  return whole ? filled / whole.length : 0;
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
