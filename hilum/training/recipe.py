# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that decides a training run, as plain values in a TOML file."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import BACKBONES, INPUT_PX
from hilum.training.augment import Variation

FOLDER = Path(__file__).parent / "recipes"
"""Where the recipes lie that this repository ships, one `<name>.toml` each."""

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train one network.

    Attributes:
        name: what `hilum train` calls it; the stem of its file.
        backbone: one of `hilum.networks.maskrcnn.BACKBONES`.
        start: the recipe whose finished weights a run goes on from; the chest-CT backbone if None.
        steps: optimiser steps.
        batch: slices a step.
        side_px: longer side of a slice.
        learning_rate: peak of AdamW's, for the new layers.
        trainable_layers: how many of the backbone's layers learn, counted from the last, 0..4, as
            torchvision counts them; the ones before stay as they were, and cost no way back.
        backbone_rate: the backbone's learning rate as a share of the peak, 0..1.
        weight_decay: AdamW's, on matrices and kernels alone.
        warmup_steps: linear rise to the peak; a cosine to zero follows.
        control_share: share of slices drawn from those without lesions, 0..1.
        clean_slices: how many slices of the data itself without any lesion join the controls,
            spread evenly: a whole volume has more of them than a network needs to see.
        ema_decay: of the averaged weights, the ones that are kept.
        gradient_norm_max: longer gradients are cut to this length.
        validate_every: steps between looks at the slices held out; 0 never looks.
        seed: of order, variation and sampling.
        variation: limits of the augmentation.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    backbone: str
    start: str | None = None
    steps: Count = 2000
    batch: Count = 4
    side_px: Count = INPUT_PX
    learning_rate: Positive = 3e-4
    trainable_layers: Annotated[int, Field(ge=0, le=4)] = 3
    backbone_rate: Share = 0.5
    weight_decay: Share = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 60
    control_share: Share = 1 / 6
    clean_slices: Annotated[int, Field(ge=0)] = 40
    ema_decay: Share = 0.995
    gradient_norm_max: Positive = 5.0
    validate_every: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 20261121
    variation: Variation = field(default_factory=Variation)


RECIPE = TypeAdapter(Recipe)


def recipe_names() -> list[str]:
    """Return the names of the recipes this repository ships."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a shipped recipe by its name, or any other by the path of its `.toml` file.

    Raises:
        ConfigurationError: there is no such recipe, or a value in it cannot be used.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"Recipe {name_or_path}: no such file, expected one of {', '.join(recipe_names())}, "
            "or the path of a .toml file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Recipe {path.name}: not TOML ({error}).") from error
    return parse_recipe({"name": path.stem} | values, path.name)


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """Make a recipe of plain values, as a TOML file or a run's record holds them.

    Args:
        values: by field; what is absent takes its default.
        source: where they come from, for the error's sentence.
    """
    try:
        recipe = RECIPE.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"Recipe {source}: {place} is {first['input']!r}; {first['msg'].lower()}."
        ) from error
    if recipe.backbone not in BACKBONES:
        raise ConfigurationError(
            f"Recipe {source}: backbone is {recipe.backbone!r}, "
            f"expected one of {', '.join(BACKBONES)}."
        )
    return recipe
