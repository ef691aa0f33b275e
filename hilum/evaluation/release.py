# SPDX-License-Identifier: Apache-2.0
"""From a recipe's runs to weights that can be shipped: packed, measured, described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from hilum.cards import FAMILY, WEIGHTS_SUFFIX, Card, write_card
from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import Evaluation, Look, evaluate, look
from hilum.evaluation.operating_point import choose_threshold, cross_fitted_dice
from hilum.evaluation.out_of_fold import FoldLooks, all_looks, look_out_of_fold
from hilum.evaluation.sources import sources
from hilum.evaluation.trained import load_packed, stages
from hilum.networks.weights import load_path, write_tensors
from hilum.training.data import Example
from hilum.training.run import Run, load_trained

JUDGED_ON = (
    "Labelled slices out of fold: each by a run of the same recipe, packed as shipped, that did "
    "not learn it. Controls by the shipped weights, which did not learn them."
)
"""How the figures of a card came about."""

LIMITS = (
    "The shipped weights learnt every labelled slice; runs that held them out gave the figures.",
    "The operating point was chosen on the slices of the figures; dice_cross_fitted was not.",
    "Pseudo-labels are by earlier networks, which had learnt slices of folds 1 to 4, not of fold 0.",
    "The labelled set has no patient ids: only visible neighbours were kept on one side.",
    "Tumours, oedema, fibrosis and other pneumonias were not shown and may be taken for lesions.",
    "Learnt from 8-bit pictures of varied windows; brightness and width were varied further.",
)
"""What a reader of the figures must know."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be released.

    Attributes:
        recipe: name of the recipe.
        runs: folder with the recipe's run and its fold runs.
        version: of the weights.
        lesions: the labelled slices.
        controls: slices without lesions; those that the run learnt are left out.
        terms: of sources, by the name of their folder; see `hilum.evaluation.sources`.
        device: where the networks run.
    """

    recipe: str
    runs: Path
    version: str
    lesions: Sequence[Example]
    controls: Sequence[Example]
    terms: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"


def release(
    order: Order, folder: Path, progress: Callable[[Example], None] = lambda _: None
) -> tuple[Card, Evaluation]:
    """Pack a recipe's weights, choose their operating point, and write them with their card.

    Args:
        order: what is released.
        folder: receives `maskrcnn-<recipe>.safetensors` and `.json`.
        progress: called after each slice looked at; labelled slices are looked at twice.

    Raises:
        ConfigurationError: a run is missing, or the runs know none of the slices.
    """
    final = order.runs / f"{order.recipe}{WEIGHTS_SUFFIX}"
    chain = stages(final)
    controls = _unseen(order, chain[-1])
    folds, plain = _look_at_lesions(order, progress)
    threshold = choose_threshold(all_looks(folds))
    path = folder / f"{FAMILY}{order.recipe}{WEIGHTS_SUFFIX}"
    card = _write(order, chain, path, threshold)
    healthy = look(load_path(path, device=order.device), controls, progress)
    result = evaluate(all_looks(folds), healthy, threshold)
    card = _with_metrics(card, _metrics(result, folds, plain), order)
    write_card(card, path)
    return card, result


def _look_at_lesions(
    order: Order, progress: Callable[[Example], None]
) -> tuple[list[FoldLooks], list[Look]]:
    """Look by each fold run as it would be shipped, and as it was trained."""
    folds = look_out_of_fold(
        order.runs,
        order.recipe,
        order.lesions,
        load=lambda weights: load_packed(weights, device=order.device),
        progress=progress,
    )
    plain = look_out_of_fold(
        order.runs,
        order.recipe,
        order.lesions,
        load=lambda weights: load_trained(weights, device=order.device),
        progress=progress,
    )
    return folds, all_looks(plain)


def _unseen(order: Order, run: Run) -> list[Example]:
    kept = [one for one in order.controls if one.name in run.held_out_controls]
    if order.controls and not kept:
        raise ConfigurationError(
            f"{order.recipe}: its run held out none of {len(order.controls)} controls, "
            "expected the folder it was run with."
        )
    return kept


def _write(order: Order, chain: Sequence[Run], path: Path, threshold: float) -> Card:
    """Write the packed weights with a card that has no figures yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256 = write_tensors(load_file(order.runs / f"{order.recipe}{WEIGHTS_SUFFIX}"), path)
    run = chain[-1]
    card = Card(
        name=path.stem,
        version=order.version,
        backbone=run.recipe.backbone,
        sha256=sha256,
        operating_point=threshold,
        recipe={"name": order.recipe, "stages": [_stage(one) for one in chain]},
        data={
            "sources": sources(chain, order.terms),
            "learnt": list(run.learnt),
            "learnt_controls": list(run.learnt_controls),
            "held_out": list(run.held_out),
            "held_out_controls": list(run.held_out_controls),
        },
        limits=LIMITS,
    )
    write_card(card, path)
    return card


def _stage(run: Run) -> dict[str, Any]:
    """Sum up one run; its sources stand under data, without the paths of the machine."""
    return asdict(run.recipe) | {
        "steps_made": run.steps_made,
        "went_on_from": run.start,
        "slices_learnt": len(run.learnt),
        "controls_learnt": len(run.learnt_controls),
        "seconds_per_step": run.seconds_per_step,
        "memory_peak_mb": run.memory_peak_mb,
        "machine": run.machine,
    }


def _metrics(
    result: Evaluation, folds: Sequence[FoldLooks], plain: Sequence[Look]
) -> dict[str, Any]:
    """Return the figures that do not depend on the machine."""
    figures = asdict(result)
    del figures["seconds_per_slice"]
    as_trained = evaluate(plain, (), result.threshold).dice.value
    return figures | {
        "judged_on": JUDGED_ON,
        "dice_cross_fitted": _cross_fitted(folds),
        "dice_float32": as_trained,
        "dice_lost_to_int8": as_trained - result.dice.value,
        "folds": [
            {
                "fold": fold.fold,
                "slices": len(fold.looks),
                "dice": asdict(fold.dice(result.threshold)),
            }
            for fold in folds
        ],
    }


def _cross_fitted(folds: Sequence[FoldLooks]) -> dict[str, float] | None:
    looks = all_looks(folds)
    return asdict(cross_fitted_dice(looks)) if len(looks) > 1 else None


def _with_metrics(card: Card, metrics: dict[str, Any], order: Order) -> Card:
    missing = len(order.lesions) - int(metrics["slices"])
    limits = card.limits
    if missing:
        limits += (f"{missing} of {len(order.lesions)} labelled slices no fold run held out.",)
    return replace(card, metrics=metrics, limits=limits)
