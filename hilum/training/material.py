# SPDX-License-Identifier: Apache-2.0
"""What a run learns from and what it holds out, gathered from folders of any layout."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.errors import ConfigurationError
from hilum.training.batches import Examples
from hilum.training.data import Example, check_names, read_controls
from hilum.training.folds import controls_held_out, held_out
from hilum.training.layouts import read_examples


@dataclass(frozen=True, slots=True)
class Material:
    """The two sides of a run.

    Attributes:
        learnt: what it learns from; slices of the data without lesions count as controls.
        held_out: what it never sees; slices without lesions are not kept here.
        sources: the folders, as they were named.
        fold: which fold is held out; None for none.
    """

    learnt: Examples
    held_out: Examples
    sources: tuple[str, ...]
    fold: int | None = None

    def names(self) -> dict[str, list[str]]:
        """Return the names of the slices on each side, as a run's record holds them."""
        return {
            "learnt": [one.name for one in self.learnt.lesions],
            "held_out": [one.name for one in self.held_out.lesions],
            "learnt_controls": [one.name for one in self.learnt.controls],
            "held_out_controls": [one.name for one in self.held_out.controls],
        }


def gather(
    folders: Sequence[Path],
    *,
    controls: Path | None = None,
    fold: int | None = None,
    clean_slices: int = 0,
) -> Material:
    """Read folders of any layout and part them into what is learnt and what is held out.

    Args:
        folders: of labelled slices, in one of the layouts of `hilum.training.layouts`.
        controls: folder of whole slices without lesions, of which up to a third are held out.
        fold: which of five parts is held out; None learns from everything.
        clean_slices: how many slices of `folders` without lesions join the controls.

    Raises:
        ConfigurationError: a folder has no known layout, two slices have one name, or nothing is
            left to learn from.
    """
    slices = [example for folder in folders for example in read_examples(folder)]
    check_names(slices)
    learnt, kept = _part(slices, held_out([one.name for one in slices], fold))
    clean = _spread([example for example in learnt if not example.labels.any()], clean_slices)
    healthy = read_controls(controls) if controls else []
    healthy, spared = _part(healthy, controls_held_out([one.name for one in healthy]))
    material = Material(
        learnt=Examples(_ill(learnt), [*healthy, *clean]),
        held_out=Examples(_ill(kept), spared),
        sources=tuple(str(folder) for folder in (*folders, *([controls] if controls else []))),
        fold=fold,
    )
    if not material.learnt.lesions:
        raise ConfigurationError(
            f"{', '.join(material.sources)}: none of {len(learnt)} slices to learn from holds a "
            "lesion, expected at least one."
        )
    return material


def _part(slices: Sequence[Example], kept: Collection[str]) -> tuple[list[Example], list[Example]]:
    """Part slices into those to learn from and those held out."""
    return (
        [example for example in slices if example.name not in kept],
        [example for example in slices if example.name in kept],
    )


def _ill(slices: Sequence[Example]) -> list[Example]:
    return [example for example in slices if example.labels.any()]


def _spread(slices: Sequence[Example], count: int) -> list[Example]:
    """Take so many, evenly over the whole."""
    if len(slices) <= count:
        return list(slices)
    places = np.linspace(0, len(slices), count, endpoint=False).astype(int)
    return [slices[place] for place in places]
