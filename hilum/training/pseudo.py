# SPDX-License-Identifier: Apache-2.0
"""Pseudo-labels: what trained networks see in slices that nobody has drawn on, as masks."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from hilum.cards import NetworkInfo
from hilum.errors import ConfigurationError
from hilum.networks.detections import label_map, lesion_map
from hilum.networks.maskrcnn import Segmenter
from hilum.training.data import Example, picture_paths, read_gray
from hilum.training.folds import volume_of

PARTS = ("images", "masks")
"""Folders that are written, as `hilum train` reads them."""

RECORD = "pseudo.json"
"""Beside them: the networks, how many slices, and how many of them had a second opinion."""

CUT = 0.45
"""Probability from which a pixel becomes lesion, 0..1."""

SECOND_OPINION = 0.4
"""Weight of a mask of another network beside the networks' own probability, 0..1."""

WHITE = 250 / 255
"""Gray from which a pixel counts as cut off by the window's upper end."""

WHITE_SHARE = 0.01
"""Share of such pixels above which a picture has a lung window, 0..1. Bones and vessels with
contrast are cut off by one: 3.6 % and more of the pixels of COVID-19-CT-Seg's `radiopaedia`
volumes, and under 0.02 % of its `coronacases`, whose window is three times as wide."""

TISSUE_FROM = 0.3
"""Share of the brightest gray above which soft tissue is looked for: lung lies below."""

TISSUE = 204 / 255
"""Gray to which soft tissue is brought; 40 HU would lie at 219, fat pulls the peak down."""


def write_pseudo_labels(
    folder: Path,
    out: Path,
    segmenters: Sequence[Segmenter],
    progress: Callable[[Example], None] = lambda _: None,
) -> int:
    """Label every slice of a folder and write slices and masks as `hilum train` reads them.

    Args:
        folder: with `images/`, and `pseudo_masks/*.png` where there is a second opinion.
        out: receives `images/*.png`, `masks/*.png` and `pseudo.json`, which names the teachers.
        segmenters: the networks, at least one; they have equal weight.
        progress: told each slice.

    Returns:
        How many slices were written.

    Raises:
        ConfigurationError: there are no pictures, two have one name, or `out` holds some already.
    """
    paths = picture_paths(folder / "images")
    out = out.resolve()
    _check_source(paths, folder)
    _check_empty(out)
    for part in PARTS:
        (out / part).mkdir(parents=True, exist_ok=True)
    opinions = folder / "pseudo_masks"
    for volume in by_volume(paths).values():
        factor = stretch(read_gray(path) for path in volume)
        for path in volume:
            labelled = _label(path, factor, segmenters, opinions)
            _write(labelled, out)
            progress(labelled)
    seconded = sum(_opinion_path(opinions, path).exists() for path in paths)
    _write_record(out, [one.info for one in segmenters], slices=len(paths), seconded=seconded)
    return len(paths)


def by_volume(paths: Iterable[Path]) -> Mapping[str, list[Path]]:
    """Group slices by the volume they are from, which has one window."""
    volumes: dict[str, list[Path]] = {}
    for path in paths:
        volumes.setdefault(volume_of(path.stem), []).append(path)
    return volumes


def stretch(slices: Iterable[NDArray[np.float32]]) -> float:
    """Return the factor that brings the gray levels of a volume near the networks' window.

    Args:
        slices: [h, w] each, 0..1, of one volume.

    Returns:
        1 where the volume has a lung window already, told by what the window cuts off; else what
        brings the peak of soft tissue to `TISSUE`.
    """
    counts = np.zeros(256)
    for gray in slices:
        counts += np.bincount(np.rint(gray * 255).astype(int).ravel(), minlength=256)
    if counts[round(WHITE * 255) :].sum() > WHITE_SHARE * counts.sum():
        return 1.0
    brightest = np.searchsorted(counts.cumsum(), 0.999 * counts.sum())
    low = int(TISSUE_FROM * brightest)
    peak = low + int(np.argmax(ndimage.gaussian_filter1d(counts, 2.0)[low:]))
    return TISSUE * 255 / max(1, peak)


def blend(
    probabilities: NDArray[np.float32], opinion: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Cut what networks and a second opinion say together; the class is the networks'.

    Args:
        probabilities: of each class [2, h, w].
        opinion: of any lesion [h, w], 0..1; None where there is none.

    Returns:
        A label map [h, w].
    """
    own = probabilities.sum(axis=0)
    joint = own if opinion is None else (1 - SECOND_OPINION) * own + SECOND_OPINION * opinion
    classes = label_map(probabilities, threshold=0.0)
    return np.where(joint >= CUT, classes, 0).astype(np.uint8)


def _check_source(paths: Sequence[Path], folder: Path) -> None:
    if not paths:
        raise ConfigurationError(f"{folder}: no pictures in images/, expected at least one.")
    name, times = Counter(path.stem for path in paths).most_common(1)[0]
    if times > 1:
        raise ConfigurationError(
            f"{folder}: {times} pictures are called {name}, expected one; their masks would be too."
        )


def _check_empty(out: Path) -> None:
    """Refuse to write over anything: masks there may be a radiologist's."""
    for part in PARTS:
        found = sum(1 for _ in (out / part).glob("*"))
        if found:
            raise ConfigurationError(
                f"{out / part}: {found} files, expected none; pseudo-labels go to a new folder."
            )


def _label(path: Path, factor: float, segmenters: Sequence[Segmenter], opinions: Path) -> Example:
    image = np.clip(read_gray(path) * np.float32(factor), 0, 1)
    seen = np.mean([_look(segmenter, image) for segmenter in segmenters], axis=0)
    opinion = _opinion(_opinion_path(opinions, path), image.shape)
    return Example(path.stem, image, blend(seen.astype(np.float32), opinion))


def _look(segmenter: Segmenter, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of each class [2, h, w], averaged over the slice and its mirror."""
    height, width = image.shape
    plain, mirrored = segmenter.predict(np.stack([image, image[:, ::-1]]))
    shape = (height, width)
    both = lesion_map(plain, shape) + lesion_map(mirrored, shape)[..., ::-1]
    return (both / 2).astype(np.float32)


def _opinion_path(opinions: Path, path: Path) -> Path:
    return opinions / f"{path.stem}.png"


def _opinion(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if not path.exists():
        return None
    marked = Image.fromarray((read_gray(path) > 0).astype(np.float32))
    height, width = shape
    return np.asarray(marked.resize((width, height), Image.Resampling.BILINEAR))


def _write(labelled: Example, out: Path) -> None:
    gray = np.rint(labelled.image * 255).astype(np.uint8)
    Image.fromarray(gray).save(out / "images" / f"{labelled.name}.png")
    Image.fromarray(labelled.labels).save(out / "masks" / f"{labelled.name}.png")


def _write_record(
    out: Path, teachers: Sequence[NetworkInfo], *, slices: int, seconded: int
) -> None:
    """Write who labelled a folder, for those who learn from it."""
    record = {
        "teachers": [
            {"name": one.name, "version": one.version, "sha256": one.sha256} for one in teachers
        ],
        "slices": slices,
        "second_opinions": seconded,
    }
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
