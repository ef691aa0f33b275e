from pathlib import Path

import pytest

from hilum.networks.maskrcnn import BACKBONES
from hilum.training.batches import read_examples
from hilum.training.recipes import RECIPES, Recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipes_name_a_known_backbone_and_hold_slices_out(recipe: Recipe) -> None:
    assert recipe.backbone in BACKBONES
    assert len(recipe.held_out) >= 10
    assert recipe.controls_held_out >= 10


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_nothing_is_both_learnt_from_and_held_out(recipe: Recipe, shared_data: Path) -> None:
    learnt, judged = read_examples(recipe, shared_data)

    names = [{one.name for one in (*side.lesions, *side.controls)} for side in (learnt, judged)]
    assert not names[0] & names[1]
    assert {one.name for one in judged.lesions} == recipe.held_out
    assert len(judged.controls) == recipe.controls_held_out
