# SPDX-License-Identifier: Apache-2.0
"""Lesion shares of real DICOM slices by the window that the network is shown, and their pictures.

Networks learn from 8-bit pictures and serve DICOM. Where the two meet, the slice in the window of
training is segmented sensibly, and a window a little off changes little.

    python -m benchmarks.with_data.hounsfield FOLDER --docs docs/networks
"""

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.machine import describe_machine
from hilum.errors import NotAxial
from hilum.evaluation.model_card import table
from hilum.jobs import ignore_progress
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.networks.weights import NETWORKS, load
from hilum.pipelines.lungs import find_lungs
from hilum.pipelines.one_slice import axial_volume
from hilum.pipelines.slices import find_lesions
from hilum.render import overlay
from hilum.volume import Volume

LEAST_LUNG = 0.02
"""A slice with less lung than this share of its pixels lies below the lungs."""

WINDOWS_HU = (WINDOW_HU, (-1350.0, 150.0), (-1150.0, 350.0), (-1400.0, 400.0), (-1000.0, 200.0))
"""The window of training, moved down and up, and widened; the last is narrower by a fifth."""

TILE_PX = 256
"""Side of one picture of the sheet."""


def measure(folder: Path, networks: Sequence[str]) -> tuple[dict[str, Any], list[Image.Image]]:
    rows, tiles = [], []
    segmenters = [load(name) for name in networks]
    for name, volume in slices(folder):
        lungs = find_lungs(volume).mask
        if np.count_nonzero(lungs) < LEAST_LUNG * lungs.size:
            continue
        row: dict[str, Any] = {"slice": name}
        pictures = [overlay(volume.voxels[0], np.zeros_like(lungs[0]), np.zeros_like(lungs[0]))]
        for segmenter in segmenters:
            info, shares = segmenter.info, []
            for window in WINDOWS_HU:
                segmenter.info = replace(info, window_hu=window)
                labels = find_lesions(volume, lungs, segmenter, ignore_progress).labels
                shares.append(round(np.count_nonzero(labels) / np.count_nonzero(lungs), 3))
                if window == WINDOW_HU:
                    pictures.append(overlay(volume.voxels[0], lungs[0], labels[0]))
            segmenter.info = info
            row[f"{info.name} {info.version}"] = shares
        rows.append(row)
        tiles += [tile(picture, lungs[0], name) for picture in pictures]
    titles = [f"{segmenter.info.name} {segmenter.info.version}" for segmenter in segmenters]
    found = {"machine": describe_machine(), "windows_hu": WINDOWS_HU, "networks": titles}
    return found | {"rows": rows}, tiles


def slices(folder: Path) -> Iterator[tuple[str, Volume]]:
    for path in sorted(folder.rglob("*.dcm")):
        try:
            yield f"{path.parts[-3]} {path.stem}", axial_volume(path)[1]
        except NotAxial:
            continue


def tile(picture: NDArray[np.uint8], lungs: NDArray[np.uint8], name: str) -> Image.Image:
    rows, columns = (np.flatnonzero(lungs.any(axis=axis)) for axis in (1, 0))
    crop = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = Image.fromarray(crop)
    image.thumbnail((TILE_PX, TILE_PX))
    canvas = Image.new("RGB", (TILE_PX, TILE_PX))
    canvas.paste(image, ((TILE_PX - image.width) // 2, (TILE_PX - image.height) // 2))
    ImageDraw.Draw(canvas).text((6, 4), name, fill="white")
    return canvas


def sheet(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    lines = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * TILE_PX, lines * TILE_PX))
    for place, one in enumerate(tiles):
        row, column = divmod(place, columns)
        canvas.paste(one, (column * TILE_PX, row * TILE_PX))
    return canvas


def page(found: dict[str, Any]) -> str:
    """Write the table and what it was measured with."""
    machine = found["machine"]
    parts = [
        "# From training's pictures to Hounsfield units",
        "",
        textwrap.fill(
            "Networks learn from 8-bit pictures and are served DICOM. These are axial slices of five "
            "COVID-19 patients (TCIA COVID-19-NY-SBU, CC BY 4.0, doi 10.7937/TCIA.BBAG-2923), which no "
            "network here has learnt: the share of the slice's lung that is lesion, with the window "
            "that is served, which is the one of training, and with windows a little off.",
            128,
        ),
        "",
    ]
    head = ("slice", *(f"{low:.0f} to {high:.0f} HU" for low, high in WINDOWS_HU))
    for network in found["networks"]:
        rows = [
            (row["slice"], *(f"{share:.3f}" for share in row[network])) for row in found["rows"]
        ]
        parts += [f"## `{network}`", "", *table(head, rows)]
    parts += [
        "## Seen",
        "",
        (
            f"Each slice bare, then with the lesions of {', '.join(found['networks'])}: "
            "ground-glass opacity and consolidation tinted, the lungs outlined."
        ),
        "",
        "![Axial slices with what the networks found](hounsfield.png)",
        "",
        f"By `python -m benchmarks.with_data.hounsfield`, {machine['date'][:10]}, {machine['cpu']}.",
        "",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument(
        "--docs", type=Path, required=True, help="Folder for the page and its picture."
    )
    asked = parser.parse_args()
    measured, pictures = measure(asked.folder, asked.networks)
    asked.docs.mkdir(parents=True, exist_ok=True)
    (asked.docs / "hounsfield.md").write_text(page(measured), encoding="utf-8")
    sheet(pictures, 2 * (1 + len(asked.networks))).save(
        asked.docs / "hounsfield.png", optimize=True
    )
    print(json.dumps(measured, indent=2))
