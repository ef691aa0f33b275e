"""Settings come from the environment, and what is missing is named."""

import pytest
from pydantic import ValidationError

from hilum.errors import MissingSetting
from hilum.settings import Settings

REQUIRED = {
    "HILUM_DATABASE_URL": "postgresql://hilum@db/hilum",
    "HILUM_REDIS_URL": "redis://cache:6379/0",
    "HILUM_STORAGE_URL": "file:///srv/hilum",
    "HILUM_SECRET_KEY": "0123456789abcdef0123456789abcdef",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_are_read_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HILUM_MAX_ATTEMPTS", "7")

    settings = Settings.from_environment()

    assert settings.database_url == "postgresql://hilum@db/hilum"
    assert settings.max_attempts == 7


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)

    with pytest.raises(MissingSetting, match=name):
        Settings.from_environment()


def test_a_malformed_setting_is_named_and_its_value_kept_out(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("HILUM_LEASE_S", "hunter2")

    with pytest.raises(MissingSetting, match="HILUM_LEASE_S") as caught:
        Settings.from_environment()

    assert "hunter2" not in caught.value.message


@pytest.mark.usefixtures("environment")
def test_settings_cannot_be_changed() -> None:
    settings = Settings.from_environment()

    with pytest.raises(ValidationError):
        settings.lease_s = 1  # type: ignore[misc] # the very thing under test


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe", "", "../etc/passwd", "\0"])
def test_time_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(MissingSetting, match=r"HILUM_TIME_ZONE: .*expected a time zone such as"):
        Settings.from_environment(time_zone=zone)


@pytest.mark.parametrize("networks", ["10.1.2.3/16", "pacs.example"])
def test_networks_that_are_none_are_refused(networks: str) -> None:
    with pytest.raises(MissingSetting, match=r"HILUM_DESTINATION_NETWORKS: .*expected networks"):
        Settings.from_environment(destination_networks=networks)
