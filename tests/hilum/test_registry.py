"""Networks are found by their cards: shipped ones by name, a hospital's own in any version."""

from dataclasses import replace
from pathlib import Path

import pytest

from hilum.cards import Card, write_card
from hilum.catalogue import CT_LESIONS
from hilum.errors import BrokenWeights, NetworkAbsent, UnknownNetwork
from hilum.registry import SHIPPED_NAMES, Registry, is_version_of

CARD = Card("maskrcnn-resnet50", "2.0.0", "resnet50", "ab" * 32)


def keep(folder: Path, stem: str, name: str, version: str) -> Path:
    """Write a card and a file that nobody will read."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.safetensors"
    path.touch()
    write_card(replace(CARD, name=name, version=version), path)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """One shipped network, and two versions of a hospital's own."""
    shipped, site = tmp_path / "shipped", tmp_path / "site"
    keep(shipped, "maskrcnn-resnet50", "maskrcnn-resnet50", "2.0.0")
    for version in ("1.9", "1.10"):
        keep(site, f"ward-{version}", "maskrcnn-ward", version)
    return Registry(site, shipped)


def test_shipped_networks_come_first_and_versions_in_their_order(registry: Registry) -> None:
    assert [one.id for one in registry.entries()] == ["resnet50@2.0.0", "ward@1.9", "ward@1.10"]
    assert [one.is_shipped for one in registry.entries()] == [True, False, False]


def test_a_name_alone_means_the_newest_version(registry: Registry) -> None:
    assert registry.find("ward").id == "ward@1.10"
    assert registry.find("ward@1.9", CT_LESIONS).id == "ward@1.9"


@pytest.mark.parametrize("asked", ["vgg", "ward@9", "war", "ward@", "@1.9", "", "../site/ward"])
def test_what_is_not_there_is_answered_with_what_is(registry: Registry, asked: str) -> None:
    with pytest.raises(UnknownNetwork, match=r"there is resnet50@2\.0\.0, ward@1\.9, ward@1\.10"):
        registry.find(asked)


def test_a_network_of_another_pipeline_is_not_found_for_this_one(registry: Registry) -> None:
    other = replace(CT_LESIONS, name="cxr-covid")

    assert registry.entries(other) == []
    with pytest.raises(UnknownNetwork, match="there is none"):
        registry.find("ward", other)


def test_a_network_is_there_as_soon_as_its_files_are(registry: Registry) -> None:
    assert registry.site is not None
    keep(registry.site, "ward-2.0", "maskrcnn-ward", "2.0")

    assert registry.find("ward").id == "ward@2.0"


def test_a_broken_network_hides_no_other_and_says_what_is_wrong_when_asked_for(
    registry: Registry,
) -> None:
    assert registry.site is not None
    (registry.site / "lobe-1.0.json").write_text("{}")

    assert registry.find("ward").id == "ward@1.10"
    with pytest.raises(BrokenWeights, match=r"lobe-1\.0\.json: lacks"):
        registry.find("lobe")


def test_a_broken_network_stands_for_its_own_name_and_version_alone(registry: Registry) -> None:
    assert registry.site is not None
    for stem in ("lobe-3-1.0.0", "lobe"):
        (registry.site / f"{stem}.json").write_text("{}")

    for asked in ("lobe", "lobe-3@1.0", "lobe-3-1.0.0", "lobe@3-1.0.0", ""):
        with pytest.raises(UnknownNetwork):
            registry.find(asked)
    for asked in ("lobe-3", "lobe-3@1.0.0"):
        with pytest.raises(BrokenWeights, match=r"lobe-3-1\.0\.0\.json: lacks"):
            registry.find(asked)


@pytest.mark.parametrize("asked", ["resnet50", "resnet50@2.0.0"])
def test_a_broken_shipped_network_may_be_any_version_of_its_name(
    registry: Registry, asked: str
) -> None:
    (registry.shipped / "maskrcnn-resnet50.json").write_text("{}")

    with pytest.raises(BrokenWeights, match=r"maskrcnn-resnet50\.json: lacks"):
        registry.find(asked)


def test_a_card_without_its_weights_is_no_network(registry: Registry) -> None:
    registry.find("ward@1.10").path.unlink()

    assert registry.find("ward").id == "ward@1.9"
    with pytest.raises(BrokenWeights, match=r"ward-1\.10\.safetensors: there is a card"):
        registry.find("ward@1.10")


@pytest.mark.parametrize(
    ("stem", "name", "named"),
    [
        ("copy", "maskrcnn-ward", r"copy\.safetensors: expected ward-3\.0\.safetensors"),
        ("resnet50-3.0", "maskrcnn-resnet50", "resnet50 is the name of a shipped network"),
    ],
)
def test_files_put_into_the_folder_by_hand_take_no_other_networks_place(
    registry: Registry, stem: str, name: str, named: str
) -> None:
    assert registry.site is not None
    keep(registry.site, stem, name, "3.0")

    _, [broken] = registry.survey()

    assert registry.find("resnet50").id == "resnet50@2.0.0"
    with pytest.raises(BrokenWeights, match=named):
        raise broken.error


def test_a_setting_without_a_value_or_an_empty_folder_adds_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    assert Registry.at("").site is None
    empty = Registry(tmp_path / "empty", registry.shipped)
    assert [one.id for one in empty.entries()] == ["resnet50@2.0.0"]


@pytest.mark.parametrize("what", ["nothing", "file", "loop"])
def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    registry: Registry, tmp_path: Path, what: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    away = replace(registry, site=tmp_path / what)

    for ask in (away.survey, away.entries, lambda: away.find("ward"), lambda: away.find("vgg")):
        with pytest.raises(NetworkAbsent, match="HILUM_WEIGHTS, cannot be read") as caught:
            ask()
        assert str(tmp_path) not in caught.value.message


def test_a_shipped_network_is_found_though_the_folder_of_the_others_is_away(
    registry: Registry, tmp_path: Path
) -> None:
    away = replace(registry, site=tmp_path / "away")

    assert away.find("resnet50").id == "resnet50@2.0.0"
    with pytest.raises(NetworkAbsent):
        away.find("resnet50@9.9")


def test_versions_belong_to_their_name_alone() -> None:
    assert is_version_of("ward@1.0", "ward")
    assert is_version_of("ward@1.0", "ward@1.0")
    assert is_version_of("resnet50", "resnet50")
    assert not is_version_of("ward@1.0", "ward@1")
    assert not is_version_of("wards@1.0", "ward")


def test_the_names_of_every_pipelines_networks_are_kept() -> None:
    assert set(CT_LESIONS.networks) <= SHIPPED_NAMES
