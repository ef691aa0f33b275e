// SPDX-License-Identifier: Apache-2.0
// Slices as pictures that the server draws, with lungs and lesions in them.

export class Pictures {
  constructor(image, found) {
    this.image = image;
    this.found = found;
    image.addEventListener("error", () => { image.alt = "This slice could not be loaded."; });
  }

  /** Show the slice of a voxel, [x, y, z]. */
  show([, , index]) {
    this.image.hidden = false;
    this.image.src = this.address(index);
    this.image.alt = `Slice ${index} with lungs outlined and lesions tinted`;
    // The neighbours are what is asked for next.
    for (const near of [index - 1, index + 1]) {
      if (near >= 0 && near < this.found.count) new Image().src = this.address(near);
    }
  }

  hide() {
    this.image.hidden = true;
  }

  paint() {
    // What a picture shows was drawn by the server.
  }

  address(index) {
    return this.found.picture.replace("{index}", index);
  }
}
