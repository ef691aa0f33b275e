from pathlib import Path

import pytest

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import BACKBONES
from hilum.training.recipe import Recipe, read_recipe, recipe_names


def test_each_backbone_has_a_recipe_that_goes_on_from_its_pretraining() -> None:
    for name in BACKBONES:
        recipe = read_recipe(name)

        assert recipe.backbone == name
        assert recipe.start is not None
        assert read_recipe(recipe.start).start is None


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_name_a_known_backbone_and_themselves(name: str) -> None:
    recipe = read_recipe(name)

    assert recipe.name == name
    assert recipe.backbone in BACKBONES


def test_a_recipe_of_ones_own_takes_defaults_for_what_it_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text('backbone = "resnet50"\nsteps = 7\n[variation]\nrotation_deg = 3.0\n')

    recipe = read_recipe(path)

    assert (recipe.name, recipe.steps, recipe.batch) == ("quick", 7, Recipe("a", "resnet50").batch)
    assert (recipe.variation.rotation_deg, recipe.variation.noise) == (3.0, 0.02)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("steps = 0", "steps is 0"),
        ('steps = "many"', "steps is 'many'"),
        ("stps = 5", "stps is 5"),
        ("[variation]\nspin = 1", "variation.spin is 1"),
        ("control_share = 2.0", "control_share is 2.0"),
        ("learning_rate = -1.0", "learning_rate is -1.0"),
        ("steps =", "not TOML"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f'backbone = "resnet50"\n{line}\n')

    with pytest.raises(ConfigurationError, match=complaint):
        read_recipe(path)


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe name")

    with pytest.raises(ConfigurationError, match=r"Recipe bad.toml: not TOML"):
        read_recipe(tmp_path / "bad.toml")


def test_an_unknown_backbone_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text('backbone = "resnet9000"\n')

    with pytest.raises(ConfigurationError, match=r"'resnet9000', expected one of resnet50, resnet"):
        read_recipe(path)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no such file, expected one of resnet101, "):
        read_recipe("vgg")


def test_shares_of_a_recipe_are_shares() -> None:
    recipe = read_recipe("resnet50")

    assert 0 < recipe.control_share < 1
    assert 0 < recipe.backbone_rate <= 1
