"""How long certificates are valid, of real ones made by OpenSSL."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hilum.certificates import expiries
from hilum.health import Health, check_certificates
from hilum.settings import Settings
from tests.programs import installed


def make_certificate(folder: Path, days: int, *, key: str = "rsa:2048") -> Path:
    """Have OpenSSL make a certificate that is valid for so many days."""
    path = folder / f"{days}.pem"
    words = f"req -x509 -nodes -newkey {key} -days {days} -subj /CN=pacs.example -keyout"
    command = [installed("openssl", package="openssl"), *words.split(), str(folder / "key.pem")]
    subprocess.run([*command, "-out", str(path)], check=True, capture_output=True)
    return path


def said_by_openssl(path: Path) -> datetime:
    command = [installed("openssl", package="openssl"), "x509", "-noout", "-enddate", "-in", path]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return datetime.strptime(shown.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


@pytest.mark.parametrize("days", [1, 400, 365 * 30])
def test_end_is_the_one_that_openssl_reads(tmp_path: Path, days: int) -> None:
    # Beyond 2049 a year has four digits.
    path = make_certificate(tmp_path, days)

    assert expiries(path) == [said_by_openssl(path)]


def test_certificate_before_which_words_stand_is_found(tmp_path: Path) -> None:
    path = make_certificate(tmp_path, 9, key="ed25519")
    path.write_text(f"Issued by the hospital.\n{path.read_text()}")

    assert expiries(path) == [said_by_openssl(path)]


def test_of_several_the_soonest_counts(tmp_path: Path) -> None:
    short, long = (make_certificate(tmp_path, days) for days in (5, 90))
    both = tmp_path / "both.pem"
    both.write_text(long.read_text() + short.read_text())

    assert expiries(both) == [said_by_openssl(short), said_by_openssl(long)]


def test_health_follows_the_days_that_are_left(settings: Settings, tmp_path: Path) -> None:
    path = make_certificate(tmp_path, 40)
    end = said_by_openssl(path)
    named = settings.model_copy(update={"dimse_certificate": str(path)})

    def look(left: timedelta) -> tuple[Health, str]:
        [check] = check_certificates(named, at=end - left)
        return check.health, check.detail.partition(" ")[2]

    assert look(timedelta(days=30))[0] is Health.OK
    assert look(timedelta(days=29, hours=23))[0] is Health.WARN
    assert look(timedelta(hours=1))[1].startswith("is valid for 0 more days")
    assert look(timedelta())[0] is Health.FAIL
    assert "was valid until" in look(timedelta(seconds=-1))[1]


@pytest.mark.parametrize(
    ("content", "health"),
    [
        (None, Health.WARN),
        ("", Health.FAIL),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Health.FAIL),
        ("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", Health.FAIL),
        ("-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n", Health.FAIL),
    ],
)
def test_file_that_is_no_certificate_is_said_to_be_none(
    settings: Settings, tmp_path: Path, content: str | None, health: Health
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)

    [check] = check_certificates(settings.model_copy(update={"dimse_authorities": str(path)}))

    assert (check.name, check.health) == ("DICOM authorities", health)
    assert str(path) in check.detail


def test_installation_without_tls_has_nothing_to_look_at(settings: Settings) -> None:
    assert list(check_certificates(settings)) == []
