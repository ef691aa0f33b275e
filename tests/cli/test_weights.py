import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.home import Home
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


def test_one_cards_hostile_figure_keeps_no_other_from_the_list(
    command: Command, site: Path
) -> None:
    add_version(site, "ward", "1.1.0")
    beside = site / "ward-1.1.0.json"
    beside.write_text(beside.read_text().replace("0.123", "1" + "0" * 400))

    shown = command("list")

    assert shown.exit_code == 0, shown.output
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if "@" in line}
    assert "0.123" in rows["ward@1.0.0"]
    assert rows["ward@1.1.0"][3:] == ["0.40", str(site)]


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


@pytest.mark.parametrize("arguments", [["list"], ["verify"], ["verify", "ward"]])
def test_a_folder_that_is_not_there_is_not_an_empty_one(
    command: Command, tmp_path: Path, arguments: list[str]
) -> None:
    result = command(*arguments, "--site", tmp_path / "typo")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "[network_absent]" in result.stderr


@pytest.mark.parametrize(
    ("elsewhere", "networks"), [({}, 1), ({"HILUM_DATABASE_URL": "postgresql://there"}, 0)]
)
def test_the_folder_is_that_of_the_system_that_runs_here_unless_the_environment_names_another(
    command: Command,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: dict[str, str],
    networks: int,
) -> None:
    monkeypatch.delenv("HILUM_WEIGHTS")
    monkeypatch.delenv("HILUM_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    home = Home.open(tmp_path / ".hilum")
    home.keep("settings.json", json.dumps({"weights": str(site)}))
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)

    rows = json.loads(command("list", "--json").stdout)

    assert len([row for row in rows if row["name"] == "ward"]) == networks


def test_an_import_without_a_folder_is_a_matter_of_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch, site: Path, tmp_path: Path
) -> None:
    monkeypatch.delenv("HILUM_WEIGHTS")
    monkeypatch.chdir(tmp_path)
    (site / "ward-1.0.0.safetensors").rename(site / "x.safetensors")

    result = command("import", site / "x.safetensors")

    assert result.exit_code == 2
    assert "HILUM_WEIGHTS" in result.stderr
