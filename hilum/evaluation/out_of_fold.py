# SPDX-License-Identifier: Apache-2.0
"""Cross-validation: each labelled slice judged by a run of the recipe that did not learn it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import Look, judge, look
from hilum.evaluation.metrics import Interval, bootstrap, mean
from hilum.evaluation.trained import check_unseen, fold_weights, load_packed
from hilum.networks.maskrcnn import Segmenter
from hilum.training.data import Example


@dataclass(frozen=True, slots=True)
class FoldLooks:
    """What one fold run saw in the slices it held out.

    Attributes:
        fold: its number.
        looks: in order of the slices.
    """

    fold: int
    looks: list[Look]

    def dice(self, threshold: float) -> Interval:
        """Give the mean Dice of all lesions at an operating point."""
        return bootstrap([judge(seen, threshold).lesions.f1 for seen in self.looks], mean)


def look_out_of_fold(
    runs: Path,
    recipe: str,
    examples: Sequence[Example],
    *,
    load: Callable[[Path], Segmenter] = load_packed,
    progress: Callable[[Example], None] = lambda _: None,
) -> list[FoldLooks]:
    """Show each slice to the fold run that held it out.

    Args:
        runs: folder with `<recipe>-fold-<K>.safetensors` and their records.
        recipe: its name.
        examples: labelled slices; those that no run held out are left out.
        load: makes a network of a run's weights; as they would be shipped where it is not given.
        progress: called after each slice.

    Raises:
        ConfigurationError: there are no runs, no slice was held out, or a run learnt what it
            says it held out.
    """
    folds, left = [], {example.name: example for example in examples}
    for weights in fold_weights(runs, recipe):
        run = check_unseen(weights)
        judged = [left.pop(name) for name in sorted(set(run.held_out) & set(left))]
        if judged:
            segmenter = load(weights)
            segmenter.warm_up()
            folds.append(FoldLooks(run.fold or 0, look(segmenter, judged, progress)))
    if not folds:
        raise ConfigurationError(
            f"{runs}: the fold runs of {recipe} held out none of {len(examples)} slices, "
            "expected the slices they were run on."
        )
    return folds


def all_looks(folds: Sequence[FoldLooks]) -> list[Look]:
    """Return the looks of all folds, ordered by name of the slice."""
    return sorted(
        (seen for fold in folds for seen in fold.looks), key=lambda seen: seen.example.name
    )
