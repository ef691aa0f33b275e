# SPDX-License-Identifier: Apache-2.0
"""Cross-validation: each labelled slice judged by a run of the recipe that did not learn it.

Fold runs stand for the recipe and for its last run, so all of them must be made alike.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hilum.cards import WEIGHTS_SUFFIX
from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import Look, judge, look, volumes
from hilum.evaluation.metrics import Interval, bootstrap, mean
from hilum.evaluation.trained import check_unseen, fold_weights, load_packed, read_trained
from hilum.networks.maskrcnn import Segmenter
from hilum.training.data import Example
from hilum.training.run import read_run, record_path


@dataclass(frozen=True, slots=True)
class FoldLooks:
    """What one fold run saw in the slices it held out.

    Attributes:
        fold: its number.
        looks: at those with lesions, in order of their names.
        controls: at those without, likewise.
    """

    fold: int
    looks: list[Look]
    controls: list[Look]

    def dice(self, threshold: float) -> Interval:
        """Give the mean Dice of all lesions at an operating point."""
        dice = [judge(seen, threshold).lesions.f1 for seen in self.looks]
        return bootstrap(dice, mean, volumes(self.looks))


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
        examples: labelled slices; those that no run held out are left out. Records do not name
            those without lesions that were held out: they go to a run that learnt nothing of
            their volume.
        load: makes a network of a run's weights; as they would be shipped where it is not given.
        progress: called after each slice.

    Raises:
        ConfigurationError: there are no runs, they or the recipe's last run are not made alike, no
            slice with lesions was held out, or a run learnt what it says it held out.
    """
    files = fold_weights(runs, recipe)
    last = runs / f"{recipe}{WEIGHTS_SUFFIX}"
    check_alike([*files, *([last] if record_path(last).exists() else [])])
    folds, left = [], sorted(examples, key=lambda example: example.name)
    for weights in files:
        ill, clean = _unseen(weights, left)
        if ill:
            segmenter = load(weights)
            segmenter.warm_up()
            looks, controls = (look(segmenter, some, progress) for some in (ill, clean))
            folds.append(FoldLooks(read_run(weights).fold or 0, looks, controls))
            judged = {one.name for one in (*ill, *clean)}
            left = [one for one in left if one.name not in judged]
    if not folds:
        raise ConfigurationError(
            f"{runs}: the fold runs of {recipe} held out none of {len(examples)} slices, "
            "expected the slices they were run on."
        )
    return folds


def check_alike(files: Sequence[Path]) -> None:
    """Refuse runs that differ in more than their fold and their names.

    Raises:
        ConfigurationError: recipe, steps made or start of one are not those of the first.
    """
    expected = _making(files[0])
    for path in files[1:]:
        found = _making(path)
        different = [
            f"{key} {found[key]}, expected {expected[key]}"
            for key in expected
            if found[key] != expected[key]
        ]
        if different:
            raise ConfigurationError(
                f"{path.name}: {'; '.join(different)} as {files[0].name} has it, since fold runs "
                "stand for one another and for the last run."
            )


def _unseen(weights: Path, examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Return the slices with lesions that a run held out, and those without that it cannot know."""
    held_out = check_unseen(weights).held_out
    ill = [one for one in examples if one.labels.any() and one.name in held_out]
    return ill, read_trained(weights).unseen_of(one for one in examples if not one.labels.any())


def _making(weights: Path) -> dict[str, Any]:
    """Return what decided a run's weights, its slices apart."""
    run = read_run(weights)
    told = asdict(run.recipe) | {"steps_made": run.steps_made, "went_on_from": run.start}
    return {key: value for key, value in told.items() if key != "name"}


def all_looks(folds: Sequence[FoldLooks]) -> list[Look]:
    """Return the looks of all folds at slices with lesions, ordered by name of the slice."""
    return _ordered(seen for fold in folds for seen in fold.looks)


def all_controls(folds: Sequence[FoldLooks]) -> list[Look]:
    """Return the looks of all folds at slices without lesions, ordered by name of the slice."""
    return _ordered(seen for fold in folds for seen in fold.controls)


def _ordered(looks: Iterable[Look]) -> list[Look]:
    return sorted(looks, key=lambda seen: seen.example.name)
