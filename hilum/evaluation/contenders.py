# SPDX-License-Identifier: Apache-2.0
"""Networks made ready for a comparison: loaded, shown the slices, weighed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.cards import WEIGHTS_SUFFIX
from hilum.evaluation.comparison import Contender
from hilum.evaluation.cost import measure_cost
from hilum.evaluation.evaluate import look, part
from hilum.evaluation.operating_point import choose_threshold
from hilum.evaluation.out_of_fold import all_controls, all_looks, look_out_of_fold
from hilum.evaluation.trained import Trained, fold_weights, load_packed, read_trained
from hilum.networks.weights import digest
from hilum.training.data import Example
from hilum.training.run import record_path


@dataclass(frozen=True, slots=True)
class Field:
    """What every contender is shown.

    Attributes:
        labelled: slices, ordered by name; those without lesions join the controls.
        controls: slices without lesions.
        device: where the networks run.
        progress: called after each slice.
    """

    labelled: Sequence[Example]
    controls: Sequence[Example]
    device: str = "auto"
    progress: Callable[[Example], None] = lambda _: None


def contend(trained: Trained, field: Field) -> Contender:
    """Show one network every slice with lesions, learnt or not, and the controls it cannot know."""
    lesions, clean = part(field.labelled)
    segmenter = trained.load(device=field.device)
    segmenter.warm_up()
    unseen = trained.unseen_of([*field.controls, *clean])
    return Contender(
        name=trained.info.name,
        version=trained.info.version,
        sha256=(trained.info.sha256,),
        looks=look(segmenter, lesions, field.progress),
        controls=look(segmenter, unseen, field.progress),
        threshold=trained.info.operating_point,
        cost=measure_cost(trained.path, lesions[0].image, device=field.device),
        learnt=trained.learnt_of([example.name for example in lesions]),
    )


def contend_out_of_fold(runs: Path, recipe: str, field: Field) -> Contender:
    """Show each slice to the recipe's fold run that did not learn it, packed as it would ship.

    Controls are shown to the recipe's last run, or where there is none to its first fold run, as
    far as that run held them out; labelled slices without lesions to a fold run. The operating
    point is chosen as for a release.

    Raises:
        ConfigurationError: the folder has no fold runs of the recipe, or they held out none.
    """
    weights = fold_weights(runs, recipe)
    folds = look_out_of_fold(
        runs,
        recipe,
        field.labelled,
        load=lambda path: load_packed(path, device=field.device),
        progress=field.progress,
    )
    looks = all_looks(folds)
    last = runs / f"{recipe}{WEIGHTS_SUFFIX}"
    judge = read_trained(last if record_path(last).exists() else weights[0])
    segmenter = load_packed(judge.path, device=field.device)
    controls = look(segmenter, judge.held_out_of(field.controls), field.progress)
    return Contender(
        name=recipe,
        version="out of fold",
        sha256=tuple(digest(path) for path in weights),
        looks=looks,
        controls=[*controls, *all_controls(folds)],
        threshold=choose_threshold(looks),
        cost=measure_cost(weights[0], looks[0].example.image, device=field.device),
    )
