"""Real workers in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from hilum.settings import Settings

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
START_S = 180.0
"""A worker imports torch, for which a busy machine takes a minute."""


def environment(settings: Settings) -> dict[str, str]:
    values = settings.model_dump(mode="json")
    return {f"HILUM_{name.upper()}": str(value) for name, value in values.items()}


@contextmanager
def celery_worker(
    settings: Settings,
    log: Path,
    *options: str,
    app: str = "tests.worker.app",
    extra: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `celery worker` until the block ends; ready when it begins."""
    command = [sys.executable, "-m", "celery", "--app", app, "worker"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *quiet, *options],
            env={**os.environ, **environment(settings), "REMAP_SIGTERM": "SIGQUIT", **extra},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            until(
                lambda: " ready." in log.read_text() or process.poll() is not None,
                patience_s=START_S,
            )
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def beat(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `hilum beat` until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "beat"],
            env={**os.environ, **environment(settings)},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def until(is_so: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Wait for something to become true."""
    give_up = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < give_up, "It did not happen in time."
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]
