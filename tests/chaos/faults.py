"""What is done to the system, each by its name; all of them leave it able to recover."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from random import Random

import redis
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from db.tables import JobRow
from hilum.jobs import QUEUE, Stage, State
from tests.chaos.town import DISK_MARGIN_MB, LEASE_S, Town

Fault = Callable[[Town, Random], bool | None]
"""Answers False where it found nothing to break."""

LOOKING_S = 4.0
"""How long to wait for a job to be where the fault wants it."""


def kill_in(stage: Stage | None, town: Town, _: Random) -> bool:
    """Kill a worker's process while its job is in a stage, before any where it is None."""
    give_up = time.monotonic() + LOOKING_S
    while time.monotonic() < give_up:
        if (pid := _process_in(stage, town)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.002)
    return False


def _process_in(stage: Stage | None, town: Town) -> int | None:
    is_there = JobRow.stage.is_(None) if stage is None else JobRow.stage == stage
    with town.sessions.begin() as session:
        worker = session.scalar(
            select(JobRow.worker).where(JobRow.state == State.RUNNING, is_there).limit(1)
        )
    return int(worker.rpartition(":")[2]) if worker else None


def kill(name: str, town: Town, random: Random) -> None:
    """Kill a process of the system, parent and all."""
    random.choice(town.those(name)).signal(signal.SIGKILL)


def stop_politely(town: Town, random: Random) -> None:
    """Ask a worker to end, as a rolling update does."""
    random.choice(town.those("worker")).signal(signal.SIGTERM)


def freeze_worker(town: Town, _: Random) -> bool:
    """Stop a process in the middle of its job, and let it go on when another has the job."""
    pid = next(filter(None, (_process_in(stage, town) for stage in reversed(Stage))), None)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE_S + 1.5)
        os.kill(pid, signal.SIGCONT)
        return True
    return False


def empty_redis(town: Town, _: Random) -> None:
    with town.broker() as broker:
        broker.flushall()


def drop_redis_connections(town: Town, _: Random) -> None:
    with town.broker() as broker:
        broker.client_kill_filter(_type="normal", skipme=True)


def crash_redis(town: Town, random: Random) -> None:
    town.valkey.kill()
    time.sleep(random.uniform(0.1, 1.5))
    town.valkey.start()


def restart_postgres(town: Town, random: Random) -> None:
    town.postgres.stop()
    time.sleep(random.uniform(0.0, 1.0))
    town.postgres.start()


def crash_postgres(town: Town, _: Random) -> None:
    town.postgres.kill()
    town.postgres.start()


def drop_postgres_connections(town: Town, _: Random) -> None:
    with town.sessions.begin() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
        )


def fill_disk(town: Town, random: Random) -> None:
    """Take what is left above the reserve for a while."""
    with town.ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (DISK_MARGIN_MB + 64) * 1024**2)
    time.sleep(random.uniform(0.5, 1.5))
    town.ballast.unlink()


def double_messages(town: Town, _: Random) -> None:
    """Deliver messages twice, byte by byte the same."""
    with town.broker() as broker:
        for raw in broker.lrange(QUEUE, 0, 20):
            broker.lpush(QUEUE, raw)


def move_leases(town: Town, _: Random) -> None:
    """Have every lease run out at once while its worker lives."""
    with town.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE state = 'running'"
            )
        )


FAULTS: dict[str, Fault] = {
    "worker killed before its first stage": partial(kill_in, None),
    **{f"worker killed while {stage}": partial(kill_in, stage) for stage in Stage},
    "worker's parent killed": partial(kill, "worker"),
    "worker asked to end": stop_politely,
    "worker frozen beyond its lease": freeze_worker,
    "upkeep killed": partial(kill, "beat"),
    "API killed": partial(kill, "api"),
    "Redis emptied": empty_redis,
    "Redis killed": crash_redis,
    "connections to Redis dropped": drop_redis_connections,
    "PostgreSQL restarted": restart_postgres,
    "PostgreSQL killed": crash_postgres,
    "connections to PostgreSQL dropped": drop_postgres_connections,
    "disk filled": fill_disk,
    "messages doubled": double_messages,
    "leases run out": move_leases,
}


def strike(name: str, town: Town, random: Random) -> bool:
    """Do a fault; tell whether it found something to break."""
    with suppress(DBAPIError, redis.RedisError):
        return FAULTS[name](town, random) is not False
    return False


def in_turn(random: Random) -> Iterator[str]:
    """Yield names of faults without end, each kind as often as any other."""
    while True:
        yield from random.sample(list(FAULTS), len(FAULTS))
