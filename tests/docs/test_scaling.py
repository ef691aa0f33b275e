"""What docs/scaling.md counts and quotes is what the code does."""

import re
from typing import Any

import yaml

from cli.main import COMMANDS
from db.session import make_engine
from hilum.bucket import PART
from tests.docs.places import ROOT, read
from worker.celery import CONFIGURATION

TEXT = read("scaling.md")


def test_connections_of_a_process_are_those_of_its_pool() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    pool: Any = engine.pool

    most = pool.size() + pool._max_overflow

    assert "5 are kept, and 10 more lent" in TEXT
    assert (pool.size(), most) == (5, 15)
    assert f"{most} x web server processes" in TEXT
    assert "60 + 15 + 96 + 8 + 1 + 5 = 185" in TEXT


def test_file_that_goes_in_one_request_is_as_long_as_it_says() -> None:
    assert f"up to {PART // 2**20} MiB is one request" in TEXT


def test_worker_has_as_long_to_end_its_job_as_it_says() -> None:
    assert f"has {CONFIGURATION['worker_soft_shutdown_timeout']:.0f} s to end its job" in TEXT
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    grace = compose["services"]["worker"]["stop_grace_period"]
    assert f"TimeoutStopSec={grace.removesuffix('s')}\n" in TEXT


def test_unit_starts_a_command_that_exists() -> None:
    [command] = re.findall(r"^ExecStart=\S+/hilum (\S+)$", TEXT, re.MULTILINE)

    assert command in COMMANDS
