"""The whole system, as `hilum serve` and `hilum demo` run it: real servers, web server, worker."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.home import Home
from cli.system import _backends, free_port
from hilum.errors import ConfigurationError

HILUM = [sys.executable, "-c", "from cli.main import main; main()"]


@pytest.fixture
def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HILUM_")}
    # One thread: the tests around it want the other core.
    return {**kept, "HILUM_THREADS": "1", "HILUM_DEVICE": "cpu"}


def processes_of(home: Path) -> list[str]:
    """Return the command lines of what still runs in a home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(home).encode() in text and process.name != str(os.getpid()):
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_the_demo_sends_a_study_shows_its_report_and_leaves_nothing_running(
    small_study: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    command = [
        *HILUM,
        "demo",
        str(small_study),
        "--home",
        str(tmp_path / "home"),
        "--port",
        "18200",
    ]

    shown = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert shown.returncode == 0, shown.stderr
    for step in ("upload", "slices", "open"):
        assert step in shown.stderr
    for word in ("of the lungs", "right", "left", "a slice, of 12", "not for diagnosis"):
        assert word in shown.stdout
    assert (tmp_path / "demo-montage.png").stat().st_size > 10_000
    assert processes_of(tmp_path / "home") == []


@pytest.fixture
def serving(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [*HILUM, "serve", "--home", str(tmp_path / "home"), "--port", "18300"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def wait_for(path: Path, url: str) -> str:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            address = path.read_text().strip()
            if httpx.get(f"{address}{url}").is_success:
                return address
        except (OSError, httpx.HTTPError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{path} names no server that answers")


@pytest.mark.parametrize(
    ("given", "weights", "network"),
    [
        ({}, "home/weights", "resnet50"),
        ({"HILUM_WEIGHTS": "", "HILUM_NETWORK": ""}, "home/weights", "resnet50"),
        ({"HILUM_WEIGHTS": "own", "HILUM_NETWORK": "ward"}, "own", "ward"),
    ],
)
def test_a_system_has_a_place_for_networks_and_tells_other_commands(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    weights: str,
    network: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    servers = {"HILUM_DATABASE_URL": "postgresql://there", "HILUM_REDIS_URL": "redis://there"}
    for name in ("HILUM_WEIGHTS", "HILUM_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (servers | given).items():
        monkeypatch.setenv(name, value)
    home = Home.open(tmp_path / "home")

    with _backends(home) as environment:
        told = home.settings

        assert told is not None
        assert (tmp_path / told["weights"], told["network"]) == (tmp_path / weights, network)
        assert environment["HILUM_WEIGHTS"] == told["weights"]
        assert environment["HILUM_NETWORK"] == network
        assert home.weights.is_dir()


def test_a_server_answers_keeps_its_secrets_and_stops_on_sigterm(
    serving: subprocess.Popen[str], tmp_path: Path, imported: Path
) -> None:
    home = tmp_path / "home"
    address = wait_for(home / "url", "/health/ready")
    key = (home / "key").read_text().strip()

    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
        jobs = client.get("/v1/jobs")
        shutil.copytree(imported, home / "weights", dirs_exist_ok=True)
        [pipeline] = client.get("/v1/pipelines").json()["items"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir() if path.is_file()}
    serving.send_signal(signal.SIGTERM)
    _, said = serving.communicate(timeout=90)

    assert jobs.json()["items"] == []
    assert "ward@1.0.0" in pipeline["network_versions"]
    assert modes == {"key": 0o600, "secret": 0o600, "settings.json": 0o600, "url": 0o600}
    assert serving.returncode == 0
    assert said.rstrip().endswith("Stopped.")
    assert not (home / "settings.json").exists()
    assert processes_of(home) == []


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port("127.0.0.1", port) > port


def test_an_address_of_another_machine_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"at 203\.0\.113\.1"):
        free_port("203.0.113.1", 8080)
