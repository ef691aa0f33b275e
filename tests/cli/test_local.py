import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
import redis

from cli.local import embedded_postgres, embedded_valkey
from hilum.errors import ConfigurationError

OWNER = """
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from cli.local import embedded_postgres, embedded_valkey

folder = Path(sys.argv[1])
with (
    embedded_postgres(folder / "postgres", durable=False) as database,
    embedded_valkey(folder / "valkey") as queue,
):
    print(database, queue, flush=True)
    sys.stdin.read()
"""
"""A program that owns both servers until it is killed."""


Embedded = Callable[..., AbstractContextManager[str]]


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def test_postgres_keeps_its_rows_over_a_restart(tmp_path: Path) -> None:
    with (
        embedded_postgres(tmp_path, durable=False) as url,
        psycopg.connect(plain(url)) as connection,
    ):
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    with (
        embedded_postgres(tmp_path, durable=False) as url,
        psycopg.connect(plain(url)) as connection,
    ):
        row = connection.execute("SELECT answer FROM kept").fetchone()

    assert row == (42,)


def test_postgres_is_safe_against_a_power_cut_unless_told_otherwise(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path) as url, psycopg.connect(plain(url)) as connection:
        durable = connection.execute("SHOW fsync").fetchone()
    with (
        embedded_postgres(tmp_path, durable=False) as url,
        psycopg.connect(plain(url)) as connection,
    ):
        fast = connection.execute("SHOW fsync").fetchone()

    assert (durable, fast) == (("on",), ("off",))


def test_postgres_answers_under_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)

    with embedded_postgres(folder, durable=False) as url, psycopg.connect(plain(url)) as connection:
        row = connection.execute("SELECT 1").fetchone()

    assert row == (1,)


def test_valkey_keeps_its_queue_over_a_restart(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.lpush("routine", "job")

    with embedded_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.lpop("routine") == b"job"


def test_valkey_never_drops_a_job_to_save_memory(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        policy = client.config_get("maxmemory-policy")

    assert policy == {"maxmemory-policy": "noeviction"}


def test_valkey_turns_away_those_without_its_password(valkey_url: str) -> None:
    address = valkey_url.rpartition("@")[2]

    with (
        redis.Redis.from_url(f"redis://{address}") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_both_leave_nothing_running_and_no_password_behind(tmp_path: Path) -> None:
    with (
        embedded_postgres(tmp_path / "p", durable=False) as database,
        embedded_valkey(tmp_path / "v") as queue,
    ):
        pass

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(plain(database))
    with redis.Redis.from_url(queue) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    assert not (tmp_path / "v" / "url").exists()
    assert not Path(database.rpartition("host=")[2]).exists()


@pytest.mark.parametrize("embedded", [embedded_postgres, embedded_valkey])
def test_second_owner_of_a_folder_is_refused(embedded: Embedded, tmp_path: Path) -> None:
    with (
        embedded(tmp_path, durable=False),
        pytest.raises(ConfigurationError, match="Another Hilum"),
    ):
        embedded(tmp_path, durable=False).__enter__()


def test_killed_owner_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        old_database, old_queue = owner.stdout.readline().decode().split()
        os.kill(owner.pid, signal.SIGKILL)

    with (
        embedded_postgres(tmp_path / "postgres", durable=False) as url,
        embedded_valkey(tmp_path / "valkey"),
    ):
        with psycopg.connect(plain(url)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with redis.Redis.from_url(old_queue) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(plain(old_database))
    assert not Path(old_database.rpartition("host=")[2]).exists()


def test_start_that_was_killed_half_way_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18")

    with (
        embedded_postgres(tmp_path, durable=False) as url,
        psycopg.connect(plain(url)) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_server_that_does_not_start_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, durable=False):
        pass
    (tmp_path / "data" / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(ConfigurationError, match="initialized by PostgreSQL version 9"):
        embedded_postgres(tmp_path, durable=False).__enter__()
