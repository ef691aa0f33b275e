from pathlib import Path

import pytest

from cli.home import Home, find_settings, local_settings
from hilum.errors import MissingSetting


def test_a_home_and_its_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    home.keep("key", "hilum_abc")

    assert home.folder.stat().st_mode & 0o777 == 0o700
    assert (home.folder / "key").stat().st_mode & 0o777 == 0o600
    assert home.key == "hilum_abc"


def test_the_secret_is_made_once_and_long_enough(tmp_path: Path) -> None:
    first = Home.open(tmp_path).secret

    assert Home.open(tmp_path).secret == first
    assert len(first) >= 32


def test_the_running_system_of_a_folder_is_found_without_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HILUM_DATABASE_URL", raising=False)
    home = Home.open(Path(".hilum"))
    home.keep(
        "settings.json",
        '{"database_url": "postgresql://there/hilum", "redis_url": "redis://there",'
        ' "storage_url": "file:///there", "secret_key": "0123456789abcdef0123456789abcdef"}',
    )

    assert find_settings().database_url == "postgresql://there/hilum"

    home.forget("settings.json")
    with pytest.raises(MissingSetting):
        find_settings()


def test_the_system_of_another_user_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HILUM_DATABASE_URL", raising=False)
    monkeypatch.setattr(Path, "exists", refuse)

    assert local_settings() == {}


def test_the_environment_stands_before_the_running_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Home.open(Path(".hilum")).keep("settings.json", '{"database_url": "postgresql://here"}')
    monkeypatch.setenv("HILUM_DATABASE_URL", "postgresql://there")
    monkeypatch.setenv("HILUM_REDIS_URL", "redis://there")
    monkeypatch.setenv("HILUM_STORAGE_URL", "file:///there")
    monkeypatch.setenv("HILUM_SECRET_KEY", "0123456789abcdef0123456789abcdef")

    assert find_settings().database_url == "postgresql://there"
