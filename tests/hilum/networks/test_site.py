"""What a hospital imports is checked first and kept whole, or not at all."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hilum.errors import (
    BrokenWeights,
    ConfigurationError,
    InvalidRequest,
    MissingSetting,
    NetworkExists,
)
from hilum.networks import site
from hilum.networks.site import import_network
from hilum.networks.weights import digest, read_card, read_tensors, write_card, write_tensors
from hilum.registry import Entry, Registry


@pytest.fixture
def source(imported: Path, tmp_path: Path) -> Path:
    """A network as it left training, with a card of its own."""
    path = tmp_path / "maskrcnn-lobe.safetensors"
    path.hardlink_to(imported / "ward-1.0.0.safetensors")
    write_card(replace(read_card(imported / "ward-1.0.0.x"), name="maskrcnn-lobe"), path)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "site")


@pytest.fixture
def rival(source: Path, tmp_path: Path) -> Path:
    """Another network of the same name and version."""
    path = tmp_path / "rival" / source.name
    path.parent.mkdir()
    state = read_tensors(source, read_card(source))
    state["dense_head.scores.bias"] += 1
    write_card(replace(read_card(source), sha256=write_tensors(state, path)), path)
    return path


def kept(registry: Registry) -> list[str]:
    assert registry.site is not None
    return sorted(path.name for path in registry.site.glob("*")) if registry.site.exists() else []


def test_file_and_card_are_kept_under_name_and_version(source: Path, registry: Registry) -> None:
    entry = import_network(source, registry)

    assert kept(registry) == ["lobe-1.0.0.json", "lobe-1.0.0.safetensors"]
    assert registry.find("lobe") == entry
    assert digest(entry.path) == entry.card.sha256
    assert [path.stat().st_mode & 0o777 for path in sorted(entry.path.parent.iterdir())] == [
        0o644,
        0o644,
    ]


def test_another_name_is_written_into_the_card(source: Path, registry: Registry) -> None:
    entry = import_network(source, registry, name="ward-3")

    assert (entry.id, read_card(entry.path).name) == ("ward-3@1.0.0", "maskrcnn-ward-3")


def test_the_same_network_again_is_success(source: Path, registry: Registry) -> None:
    first = import_network(source, registry)
    stamp = first.path.stat().st_mtime_ns

    assert import_network(source, registry) == first
    assert first.path.stat().st_mtime_ns == stamp


def test_versions_live_side_by_side(source: Path, registry: Registry) -> None:
    import_network(source, registry)
    write_card(replace(read_card(source), version="1.1.0"), source)

    import_network(source, registry)

    assert [one.id for one in registry.entries() if not one.is_shipped] == [
        "lobe@1.0.0",
        "lobe@1.1.0",
    ]


def test_another_card_under_a_version_that_is_taken_is_refused(
    source: Path, registry: Registry
) -> None:
    entry = import_network(source, registry)
    write_card(replace(read_card(source), operating_point=0.2), source)

    with pytest.raises(NetworkExists, match=r"lobe-1\.0\.0 is kept already"):
        import_network(source, registry)

    assert registry.find("lobe") == entry


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_the_names_of_shipped_networks_are_refused(
    source: Path, registry: Registry, name: str
) -> None:
    with pytest.raises(NetworkExists, match=f"{name} is the name of a shipped network.*--name"):
        import_network(source, registry, name=name)

    assert kept(registry) == []


@pytest.mark.parametrize("name", ["../up", "Ward", "a@b", "-x", "w" * 49, "a b", "ward\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(
    source: Path, registry: Registry, name: str
) -> None:
    with pytest.raises(InvalidRequest, match="Network name"):
        import_network(source, registry, name=name)

    assert kept(registry) == []


def test_a_network_that_does_not_work_is_not_kept(source: Path, registry: Registry) -> None:
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    source.unlink()
    source.write_bytes(data)

    with pytest.raises(BrokenWeights, match="SHA-256"):
        import_network(source, registry)

    assert kept(registry) == []


def test_a_pickle_is_refused_by_its_name_and_by_its_bytes(
    source: Path, registry: Registry, tmp_path: Path
) -> None:
    pickle = tmp_path / "network.pt"
    torch.save({"weight": torch.zeros(1)}, pickle)
    source.unlink()
    source.write_bytes(pickle.read_bytes())
    write_card(replace(read_card(source), sha256=digest(source)), source)

    with pytest.raises(BrokenWeights, match="can run code"):
        import_network(pickle, registry)
    with pytest.raises(BrokenWeights, match="not a safetensors file"):
        import_network(source, registry)


def test_a_card_that_names_no_licence_is_refused(source: Path, registry: Registry) -> None:
    write_card(replace(read_card(source), data={"sources": {}}), source)

    with pytest.raises(BrokenWeights, match="names no source of data"):
        import_network(source, registry)


def import_meanwhile(
    monkeypatch: pytest.MonkeyPatch, source: Path, registry: Registry
) -> list[Entry]:
    """Let the next import find, once it has verified its file, that another one was quicker."""
    done: list[Entry] = []

    def verify_slowly(_: Path) -> None:
        monkeypatch.undo()
        done.append(import_network(source, registry))

    monkeypatch.setattr(site, "verify", verify_slowly)
    return done


def test_of_two_imports_of_one_version_at_a_time_the_later_is_refused(
    source: Path, rival: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = import_meanwhile(monkeypatch, rival, registry)

    with pytest.raises(NetworkExists, match=r"lobe-1\.0\.0"):
        import_network(source, registry)

    assert [registry.find("lobe")] == done
    assert digest(done[0].path) == done[0].card.sha256
    assert kept(registry) == ["lobe-1.0.0.json", "lobe-1.0.0.safetensors"]


def test_of_two_cards_for_the_same_weights_at_a_time_the_later_is_refused(
    source: Path, rival: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival.write_bytes(source.read_bytes())
    write_card(replace(read_card(source), operating_point=0.2), rival)
    done = import_meanwhile(monkeypatch, rival, registry)

    with pytest.raises(NetworkExists, match="another card"):
        import_network(source, registry)

    assert [registry.find("lobe")] == done


def test_the_same_network_twice_at_a_time_is_success(
    source: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = import_meanwhile(monkeypatch, source, registry)

    assert [import_network(source, registry)] == done


def test_weights_without_a_card_are_taken_up_by_their_own_import_alone(
    source: Path, rival: Path, registry: Registry
) -> None:
    entry = import_network(source, registry)
    entry.path.with_suffix(".json").unlink()

    with pytest.raises(NetworkExists, match="at work or one that was cut short"):
        import_network(rival, registry)
    assert registry.survey()[1] == []
    assert import_network(source, registry) == entry


def test_a_card_that_could_not_be_read_again_is_not_kept(source: Path, registry: Registry) -> None:
    beside = source.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"value": 0.123', '"value": 1e400'))

    with pytest.raises(BrokenWeights, match="no readable card"):
        import_network(source, registry)

    assert kept(registry) == []


def test_the_folder_is_made_for_services_of_other_users(source: Path, tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        import_network(source, Registry(tmp_path / "own" / "networks"))
    finally:
        os.umask(mask)

    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "own").rglob("*")]
    assert [*modes, (tmp_path / "own").stat().st_mode & 0o777] == [0o755, 0o644, 0o644, 0o755]


def test_a_folder_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"/file: networks cannot be kept there"):
        import_network(source, Registry(tmp_path / "file"))


def test_a_file_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(BrokenWeights, match=r"none\.safetensors: there is no such file"):
        import_network(tmp_path / "none.safetensors", registry)


def test_an_installation_without_a_folder_says_which_setting_names_it(source: Path) -> None:
    with pytest.raises(MissingSetting, match="HILUM_WEIGHTS"):
        import_network(source, Registry())
