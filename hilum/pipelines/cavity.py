# SPDX-License-Identifier: Apache-2.0
"""Close the lungs over what a threshold drops: vessels, nodules, consolidation at the pleura.

Two rules, slice by slice. A closing fills holes and narrow dents. A wide dent is filled when it
opens towards the chest wall, where lung must have been; one that opens towards the middle is
heart, liver or great vessel, and stays out.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

Mask = NDArray[np.bool_]

CLOSING_MM = 12.0
"""Radius of the in-plane closing: wider than vessels and most lesions at the pleura."""

SOLID_HU = 130
"""Above it lies bone or contrast-filled heart, never lung."""

BONE_HU = 200
"""Above it, averaged over neighbours, a voxel is rib, spine, sternum or contrast-filled vessel."""

BONE_FILTER_MM = 5.1
"""Width of the average that tells bone from noise, and leaves a rib."""

CAGED_SHARE = 0.9
"""Share of a lung that must lie inside the hull of the bones for the hull to be a rib cage."""

WALL_MM = 18.0
"""A dent whose mouth lies this near to the rib cage's outside, on the average, is at the wall."""


def close_over_lesions(
    hu: NDArray[np.int16],
    sides: NDArray[np.uint8],
    body: Mask,
    airway: Mask,
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """Return the lungs with holes and the dents of pleural lesions filled.

    Args:
        hu: [z, y, x].
        sides: lungs as found by threshold, [z, y, x].
        body: the trunk, [z, y, x].
        airway: never becomes lung, [z, y, x].
        spacing_mm: z, y, x.
    """
    closed = sides.copy()
    pixel_mm = spacing_mm[1]
    for z in np.flatnonzero(np.any(sides, axis=(1, 2))):
        free = body[z] & ~airway[z] & (hu[z] < SOLID_HU)
        cage = _rib_cage(hu[z], body[z], pixel_mm)
        depth_mm = ndimage.distance_transform_edt(cage) * pixel_mm
        for number, place in enumerate(ndimage.find_objects(sides[z]), start=1):
            if place is not None:
                # Nothing is filled outside a lung's convex hull, so its own box is enough.
                lung = sides[z][place] == number
                filled = _fill(lung, cage[place], depth_mm[place], pixel_mm)
                whole = ndimage.binary_fill_holes(lung | (filled & free[place]))
                closed[z][place][whole & (closed[z][place] == 0)] = number
    return closed


def _fill(lung: Mask, cage: Mask, depth_mm: NDArray[np.float64], pixel_mm: float) -> Mask:
    filled = _close(lung, pixel_mm)
    # Where too few bones show, their hull says nothing of the chest wall.
    if np.mean(cage[lung]) > CAGED_SHARE:
        filled |= _wall_dents(lung, depth_mm)
    return filled


def _close(lung: Mask, pixel_mm: float) -> Mask:
    radius = CLOSING_MM / pixel_mm
    pad = int(radius) + 1
    padded = np.pad(lung, pad)
    # A closing by a disc is two distance transforms: far cheaper than a large footprint.
    grown = ndimage.distance_transform_edt(~padded) <= radius
    shrunk = ndimage.distance_transform_edt(grown) > radius
    closed: Mask = ndimage.binary_fill_holes((shrunk | padded)[pad:-pad, pad:-pad])
    return closed


def _rib_cage(hu: NDArray[np.int16], body: Mask, pixel_mm: float) -> Mask:
    """Return the hull of the bones of a slice [y, x].

    Contrast in the heart and noise in the liver pass for bone, but lie inside the hull of ribs,
    spine and sternum and do not change it.
    """
    width = max(1, int(BONE_FILTER_MM / pixel_mm))
    bone = body & (ndimage.uniform_filter(hu, width) > BONE_HU)
    return hull(bone) if bone.any() else bone


def _wall_dents(lung: Mask, depth_mm: NDArray[np.float64]) -> Mask:
    """Return the dents of a lung [y, x] whose mouth lies along the chest wall."""
    whole = hull(lung)
    labels, count = ndimage.label(whole & ~lung)
    if count == 0:
        return whole & False
    mouth = whole & ~ndimage.binary_erosion(whole)
    index = np.arange(1, count + 1)
    # A dent without a mouth is a hole; its mean is nan and compares false.
    mouth_labels = np.where(mouth, labels, 0)
    has_mouth = np.isin(index, mouth_labels)
    near = np.zeros(count, bool)
    near[has_mouth] = ndimage.mean(depth_mm, mouth_labels, index[has_mouth]) < WALL_MM
    dents: Mask = np.isin(labels, index[near])
    return dents


def hull(mask: Mask) -> Mask:
    """Return the smallest convex region around a mask [y, x]."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:
        # A line of pixels has no hull but itself.
        return mask
    canvas = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in corners], fill=1, outline=1)
    return np.asarray(canvas, bool)
