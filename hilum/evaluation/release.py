# SPDX-License-Identifier: Apache-2.0
"""From a recipe's runs to weights that can be shipped: packed, measured, described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from hilum.cards import FAMILY, WEIGHTS_SUFFIX, Card, write_card
from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import Evaluation, Look, evaluate, judge, look, part, volumes
from hilum.evaluation.metrics import mean
from hilum.evaluation.operating_point import choose_threshold, cross_fitted_dice
from hilum.evaluation.out_of_fold import FoldLooks, all_controls, all_looks, look_out_of_fold
from hilum.evaluation.sources import limits_of, sources
from hilum.evaluation.trained import LEARNT, Stage, load_packed, names_of, read_trained, stages
from hilum.networks.weights import load_path, write_tensors
from hilum.training.data import Example
from hilum.training.run import load_trained, read_run

JUDGED_ON = (
    "Labelled slices out of fold: each by a run of the same recipe, packed as shipped, that did "
    "not learn it. Controls by the shipped weights, which did not learn them, and as they would be "
    "served: inside the lungs. Labelled slices without lesions are controls of a fold run."
)
"""How the figures of a card came about."""

LIMITS = (
    "The shipped weights learnt every labelled slice; runs that held them out gave the figures.",
    "The operating point was chosen on the slices of the figures; dice_cross_fitted was not.",
    "Tumours, oedema, fibrosis and other pneumonias may be taken for lesions where none were learnt.",
    "Controls were measured in the lungs of single slices, with pixels taken to be 0.7 mm wide.",
)
"""What a reader of the figures must know, whatever was learnt from."""

DICE_LOST_MAX = 0.002
"""Mean Dice, 0..1, that int8 may cost; shipped networks lost under 0.0001."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be released.

    Attributes:
        recipe: name of the recipe.
        runs: folder with the recipe's run and its fold runs.
        version: of the weights.
        labelled: the slices of the fold runs; those without lesions join the controls.
        controls: slices without lesions; those that the run learnt are left out.
        terms: of sources, by the name of their folder; see `hilum.evaluation.sources`.
        device: where the networks run.
    """

    recipe: str
    runs: Path
    version: str
    labelled: Sequence[Example]
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
        progress: called after each slice looked at; slices with lesions are looked at twice.

    Raises:
        ConfigurationError: a run is missing, or another than the others, the runs know none of the
            slices, or the weights lose too much by being packed.
    """
    final = order.runs / f"{order.recipe}{WEIGHTS_SUFFIX}"
    chain = stages(final)
    controls = _held_out(order, final)
    folds, plain = _look_at_lesions(order, progress)
    looks = all_looks(folds)
    threshold = choose_threshold(looks)
    lost = check_packing(looks, plain, threshold)
    path = folder / f"{FAMILY}{order.recipe}{WEIGHTS_SUFFIX}"
    card = _write(order, chain, path, threshold)
    healthy = look(load_path(path, device=order.device), controls, progress)
    result = evaluate(looks, [*healthy, *all_controls(folds)], threshold)
    card = _with_metrics(card, _metrics(result, folds, lost), order)
    write_card(card, path)
    return card, result


def check_packing(packed: Sequence[Look], plain: Sequence[Look], threshold: float) -> float:
    """Return the mean Dice that weights lose by being packed to int8.

    Raises:
        ConfigurationError: it is more than `DICE_LOST_MAX`.
    """
    lost = _dice(plain, threshold) - _dice(packed, threshold)
    if lost > DICE_LOST_MAX:
        raise ConfigurationError(
            f"Packed to int8 the weights lose {lost:.4f} of mean Dice at {threshold:.2f}, expected "
            f"at most {DICE_LOST_MAX}."
        )
    return lost


def _dice(looks: Sequence[Look], threshold: float) -> float:
    return mean([judge(seen, threshold).lesions.f1 for seen in looks])


def _look_at_lesions(
    order: Order, progress: Callable[[Example], None]
) -> tuple[list[FoldLooks], list[Look]]:
    """Look by each fold run as it would be shipped, and as it was trained."""
    folds = look_out_of_fold(
        order.runs,
        order.recipe,
        order.labelled,
        load=lambda weights: load_packed(weights, device=order.device),
        progress=progress,
    )
    plain = look_out_of_fold(
        order.runs,
        order.recipe,
        part(order.labelled)[0],
        load=lambda weights: load_trained(weights, device=order.device),
        progress=progress,
    )
    return folds, all_looks(plain)


def _held_out(order: Order, final: Path) -> list[Example]:
    kept = read_trained(final).held_out_of(order.controls)
    if order.controls and not kept:
        raise ConfigurationError(
            f"{order.recipe}: its run held out none of {len(order.controls)} controls, "
            "expected the folder it was run with."
        )
    return kept


def _write(order: Order, chain: Sequence[Stage], path: Path, threshold: float) -> Card:
    """Write the packed weights with a card that has no figures yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    final = order.runs / f"{order.recipe}{WEIGHTS_SUFFIX}"
    sha256, run = write_tensors(load_file(final), path), read_run(final)
    terms = sources(chain, order.terms)
    card = Card(
        name=path.stem,
        version=order.version,
        backbone=run.recipe.backbone,
        sha256=sha256,
        operating_point=threshold,
        recipe={"name": order.recipe, "stages": [each for one in chain for each in _stages(one)]},
        data={
            "sources": terms,
            **{key: names for key in LEARNT if (names := names_of(chain, key)) is not None},
            "held_out": list(run.held_out),
            "held_out_controls": list(run.held_out_controls),
        },
        limits=LIMITS + limits_of(terms),
    )
    write_card(card, path)
    return card


def _stages(stage: Stage) -> Sequence[dict[str, Any]]:
    """Sum up one run; its sources stand under data, without the paths of the machine.

    A card sums up what lies behind it.
    """
    if isinstance(stage, Card):
        before: Sequence[dict[str, Any]] = stage.recipe.get("stages", [stage.recipe])
        return before
    return [
        asdict(stage.recipe)
        | {
            "steps_made": stage.steps_made,
            "went_on_from": stage.start,
            "slices_learnt": len(stage.learnt),
            "controls_learnt": len(stage.learnt_controls),
            "seconds_per_step": stage.seconds_per_step,
            "memory_peak_mb": stage.memory_peak_mb,
            "machine": stage.machine,
        }
    ]


def _metrics(result: Evaluation, folds: Sequence[FoldLooks], lost: float) -> dict[str, Any]:
    """Return the figures that do not depend on the machine."""
    figures = asdict(result)
    del figures["seconds_per_slice"]
    return figures | {
        "judged_on": JUDGED_ON,
        "dice_cross_fitted": _cross_fitted(folds),
        "dice_float32": result.dice.value + lost,
        "dice_lost_to_int8": lost,
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
    return asdict(cross_fitted_dice(looks)) if len(set(volumes(looks))) > 1 else None


def _with_metrics(card: Card, metrics: dict[str, Any], order: Order) -> Card:
    ill = len(part(order.labelled)[0])
    missing = ill - int(metrics["slices"])
    limits = card.limits
    if missing:
        limits += (f"{missing} of {ill} slices with lesions no fold run held out.",)
    return replace(card, metrics=metrics, limits=limits)
