import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import hilum
from tests.networks import add_version

Command = Callable[..., Result]


@pytest.fixture
def command(site: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `hilum weights` where HILUM_WEIGHTS names the folder."""
    monkeypatch.setenv("HILUM_WEIGHTS", str(site))
    return lambda *arguments: CliRunner().invoke(hilum, ["weights", *map(str, arguments)])


def test_networks_are_listed_with_version_hash_cut_and_dice(command: Command, site: Path) -> None:
    add_version(site, "ward", "1.1.0")

    shown = command("list")

    assert shown.exit_code == 0, shown.output
    rows = [line.split() for line in shown.stdout.splitlines() if "ward@" in line]
    assert [row[0] for row in rows] == ["ward@1.0.0", "ward@1.1.0"]
    assert rows[0][1] == "resnet50"
    assert rows[0][3:] == ["0.40", "0.123", str(site)]


def test_the_list_is_data_for_programs(command: Command) -> None:
    rows = {row["name"]: row for row in json.loads(command("list", "--json").stdout)}

    assert (rows["ward"]["version"], rows["ward"]["operating_point"]) == ("1.0.0", 0.4)
    assert len(rows["ward"]["sha256"]) == 64
    assert rows["ward"]["licences"] == {"Nothing": "CC0"}
    assert not rows["ward"]["is_shipped"]


def test_what_cannot_be_used_is_told_beside_the_list(command: Command, site: Path) -> None:
    (site / "lobe-1.0.json").write_text("{}")

    shown = command("list")

    assert "ward@1.0.0" in shown.stdout
    assert "lobe-1.0.json: lacks file" in shown.stderr


def test_a_sound_network_is_verified(command: Command) -> None:
    result = command("verify", "ward")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ok      ward@1.0.0  ")


def test_a_changed_file_fails_and_the_sentence_says_what_to_do(
    command: Command, site: Path
) -> None:
    path = site / "ward-1.0.0.safetensors"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    result = command("verify", "ward@1.0.0")

    assert result.exit_code == 1
    assert f"broken  {path}" in result.stdout
    assert "SHA-256" in result.stderr
    assert "import it again" in result.stderr


def test_a_broken_card_fails_by_the_name_of_its_file(command: Command, site: Path) -> None:
    (site / "lobe-1.0.json").write_text("{}")

    result = command("verify", "lobe")

    assert result.exit_code == 1
    assert "lacks file" in result.stderr


def test_a_name_that_nothing_has_is_refused(command: Command) -> None:
    result = command("verify", "ward", "vgg")

    assert result.exit_code == 1
    assert "'vgg'" in result.stderr
    assert "[unknown_network]" in result.stderr


def test_an_import_prints_what_jobs_may_ask_for(
    command: Command, imported: Path, site: Path, tmp_path: Path
) -> None:
    for suffix in (".safetensors", ".json"):
        source = tmp_path / f"maskrcnn-lobe{suffix}"
        text = (imported / f"ward-1.0.0{suffix}").read_bytes()
        source.write_bytes(text.replace(b"ward-1.0.0", b"maskrcnn-lobe"))

    result = command("import", tmp_path / "maskrcnn-lobe.safetensors", "--name", "lobe")

    assert result.exit_code == 0, result.output
    assert result.stdout == "lobe@1.0.0\n"
    assert (site / "lobe-1.0.0.safetensors").exists()


def test_an_import_without_a_folder_is_a_matter_of_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch, site: Path
) -> None:
    monkeypatch.delenv("HILUM_WEIGHTS")
    (site / "ward-1.0.0.safetensors").rename(site / "x.safetensors")

    result = command("import", site / "x.safetensors")

    assert result.exit_code == 2
    assert "HILUM_WEIGHTS" in result.stderr
