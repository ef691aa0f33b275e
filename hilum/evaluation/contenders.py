# SPDX-License-Identifier: Apache-2.0
"""Networks made ready for a comparison: loaded, shown the slices, weighed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.cards import WEIGHTS_SUFFIX
from hilum.evaluation.comparison import Contender
from hilum.evaluation.cost import measure_cost
from hilum.evaluation.evaluate import look
from hilum.evaluation.operating_point import choose_threshold
from hilum.evaluation.out_of_fold import all_looks, look_out_of_fold
from hilum.evaluation.trained import Trained, fold_weights, load_packed, read_trained
from hilum.networks.weights import digest
from hilum.training.data import Example
from hilum.training.run import record_path


@dataclass(frozen=True, slots=True)
class Field:
    """What every contender is shown.

    Attributes:
        lesions: labelled slices, ordered by name.
        controls: slices without lesions.
        device: where the networks run.
        progress: called after each slice.
    """

    lesions: Sequence[Example]
    controls: Sequence[Example]
    device: str = "auto"
    progress: Callable[[Example], None] = lambda _: None


def contend(trained: Trained, field: Field) -> Contender:
    """Show one network every labelled slice, learnt or not, and the controls it has not learnt."""
    segmenter = trained.load(device=field.device)
    segmenter.warm_up()
    unseen = [one for one in field.controls if one.name not in trained.learnt]
    return Contender(
        name=trained.info.name,
        version=trained.info.version,
        sha256=(trained.info.sha256,),
        looks=look(segmenter, field.lesions, field.progress),
        controls=look(segmenter, unseen, field.progress),
        threshold=trained.info.operating_point,
        cost=measure_cost(trained.path, field.lesions[0].image, device=field.device),
        learnt=trained.learnt_of([example.name for example in field.lesions]),
    )


def contend_out_of_fold(runs: Path, recipe: str, field: Field) -> Contender:
    """Show each slice to the recipe's fold run that did not learn it, packed as it would ship.

    Controls are shown to the recipe's last run, or where there is none to its first fold run, as
    far as that run held them out. The operating point is chosen as for a release.

    Raises:
        ConfigurationError: the folder has no fold runs of the recipe, or they held out none.
    """
    weights = fold_weights(runs, recipe)
    looks = all_looks(
        look_out_of_fold(
            runs,
            recipe,
            field.lesions,
            load=lambda path: load_packed(path, device=field.device),
            progress=field.progress,
        )
    )
    last = runs / f"{recipe}{WEIGHTS_SUFFIX}"
    judge = read_trained(last if record_path(last).exists() else weights[0])
    unseen = [one for one in field.controls if one.name in judge.held_out]
    return Contender(
        name=recipe,
        version="out of fold",
        sha256=tuple(digest(path) for path in weights),
        looks=looks,
        controls=look(load_packed(judge.path, device=field.device), unseen, field.progress),
        threshold=choose_threshold(looks),
        cost=measure_cost(weights[0], field.lesions[0].image, device=field.device),
    )
