# SPDX-License-Identifier: Apache-2.0
"""NIfTI volumes and their masks: which files of a folder belong together."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import ConfigurationError

ENDINGS = (".nii.gz", ".nii")

_FILLERS = re.compile(r"_org|_covid-19-pneumonia|-dcm|_mask|_msk|(?<=^tr)_im")
"""What the names of a volume and of its mask differ in, over all editions of the sets."""

_MASK = ("_mask", "_msk")
_MASK_FOLDER = re.compile(r"(infection_)?masks?", re.IGNORECASE)
_OTHER_MASK_FOLDER = re.compile(r"lung.*mask", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A volume and its mask.

    Attributes:
        name: of the volume, with its folders where another is called the same.
        volume: its file.
        mask: the mask's.
    """

    name: str
    volume: Path
    mask: Path


def pairs(folder: Path) -> list[Pair]:
    """Find every volume that has a mask; volumes without are passed over.

    A mask belongs to the volume of its case that lies nearest, best of all beside it.

    Raises:
        ConfigurationError: a mask has two such volumes, or a volume two such masks.
    """
    files = sorted(path for path in folder.rglob("*.nii*") if path.name.endswith(ENDINGS))
    volumes: dict[str, list[Path]] = defaultdict(list)
    masks: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if not _is_mask(path.relative_to(folder)):
            volumes[_case(path)].append(path)
    for path in files:
        if _is_lesion_mask(path.relative_to(folder)) and _case(path) in volumes:
            masks[_nearest(path, volumes[_case(path)], "volume")].append(path)
    times = Counter(map(stem, masks))
    return [
        Pair(_name(path, folder, times), path, _nearest(path, masks[path], "mask"))
        for path in sorted(masks)
    ]


def stem(path: Path) -> str:
    """Return the name of a file without its ending."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name)


def _nearest(path: Path, others: Sequence[Path], kind: str) -> Path:
    """Return the one that shares most folders with a path."""
    shared = [len(Path(os.path.commonpath([path, other])).parts) for other in others]
    near = [other for other, count in zip(others, shared, strict=True) if count == max(shared)]
    if len(near) > 1:
        raise ConfigurationError(
            f"{path}: {near[0]} and {near[1]} could both be its {kind}, expected one; "
            "a mask beside its volume goes first."
        )
    return near[0]


def _name(path: Path, folder: Path, times: Mapping[str, int]) -> str:
    if times[stem(path)] == 1:
        return stem(path)
    return "-".join((*path.relative_to(folder).parent.parts, stem(path)))


def _case(path: Path) -> str:
    return _FILLERS.sub("", stem(path).lower()).replace("-", "_")


def _is_mask(path: Path) -> bool:
    """Tell a mask of anything by its name or its folders."""
    return (
        stem(path).lower().endswith(_MASK)
        or any(_MASK_FOLDER.fullmatch(part) for part in path.parts[:-1])
        or _is_in_other_folder(path)
    )


def _is_lesion_mask(path: Path) -> bool:
    return _is_mask(path) and not _is_in_other_folder(path)


def _is_in_other_folder(path: Path) -> bool:
    return any(_OTHER_MASK_FOLDER.search(part) for part in path.parts[:-1])
