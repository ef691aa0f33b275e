# SPDX-License-Identifier: Apache-2.0
"""The whole system on one machine: database, queue, web server and worker, started and stopped."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from sqlalchemy.orm import Session

from cli.api import gunicorn_arguments
from cli.database import engine_at
from cli.home import Home
from cli.local import embedded_postgres, embedded_valkey
from cli.processes import Family, Program, running
from cli.users import entrance
from cli.worker import ARGUMENTS, soft_stop
from db.schema import migrate
from db.session import make_sessions
from db.tables import UserRow
from db.tenants import add_tenant, find_tenant, new_key, tenant_of_key
from db.users import add_user, find_user, grant, invite
from hilum.errors import ConfigurationError
from hilum.people import Role
from hilum.settings import Settings

LOCAL_TENANT: Final = "local"
"""The hospital that this machine's own key belongs to."""

LOCAL_USER: Final = "admin"
"""Who looks at the pages of this machine."""

START_LIMIT_S: Final = 60.0
"""The web server answers within two seconds; a busy laptop gets more."""

WORKER_STOP_S: Final = 45.0
"""Longer than the worker gives the job at hand; an idle one stops within a second or two."""

PORTS_TRIED: Final = 50
"""How far to look for a free port."""


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    Attributes:
        url: where it serves.
        key: API key of its own tenant.
        database_url: its memory.
        home: its folder.
        family: its processes.
    """

    url: str
    key: str
    database_url: str
    home: Home
    family: Family

    def entrance(self, to: str | None = None) -> str:
        """Return an address that lets this machine's own person in once, and leads to a page."""
        with engine_at(self.database_url) as engine, make_sessions(engine).begin() as session:
            return entrance(self.url, invite(session, _own_user(session)), to=to)


@contextmanager
def running_system(
    home: Home, *, host: str, port: int, say: Callable[[str], None]
) -> Iterator[System]:
    """Run everything for the length of a `with` block.

    Args:
        home: where data, logs and the key are kept.
        host: address to listen at.
        port: the next free one is taken where this one is not free.
        say: told in a sentence what happens.

    Raises:
        ConfigurationError: a part did not start.
        ProcessLost: a part keeps dying.
    """
    with ExitStack() as stack:
        environment = stack.enter_context(_backends(home))
        database_url = environment["HILUM_DATABASE_URL"]
        key = _prepare_database(database_url, home)
        free = free_port(host, port)
        if free != port:
            say(f"Port {port} is taken, so this system serves at {free}.")
        url = f"http://{_as_authority(host)}:{free}"
        home.keep("url", url)
        programs = _programs(home, f"{_as_authority(host)}:{free}", environment)
        system = System(url, key, database_url, home, stack.enter_context(running(programs)))
        # Said before the children are stopped: what is entered last is left first.
        stack.callback(say, "Stopping: a job at hand may finish; Ctrl-C again stops at once.")
        _wait_until_ready(system)
        yield system


@contextmanager
def _backends(home: Home) -> Iterator[Mapping[str, str]]:
    """Yield the environment of the children: given servers, or embedded ones in their stead."""
    given = os.environ
    with ExitStack() as stack:
        database = given.get("HILUM_DATABASE_URL") or stack.enter_context(
            embedded_postgres(home.folder / "postgres")
        )
        queue = given.get("HILUM_REDIS_URL") or stack.enter_context(
            embedded_valkey(home.folder / "valkey")
        )
        for folder in (home.store, home.weights):
            folder.mkdir(exist_ok=True)
        settings = {
            "database_url": database,
            "redis_url": queue,
            "storage_url": given.get("HILUM_STORAGE_URL", home.store.as_uri()),
            "secret_key": given.get("HILUM_SECRET_KEY") or home.secret,
            "spool_dir": given.get("HILUM_SPOOL_DIR", str(home.spool)),
            "weights": given.get("HILUM_WEIGHTS") or str(home.weights),
            "network": given.get("HILUM_NETWORK") or Settings.model_fields["network"].default,
        }
        # Other commands, such as `hilum keys new`, find the running system by this file.
        home.keep("settings.json", json.dumps(settings))
        stack.callback(home.forget, "settings.json")
        yield {**given, **{f"HILUM_{name.upper()}": value for name, value in settings.items()}}


def _prepare_database(url: str, home: Home) -> str:
    """Migrate, and return a key of the local tenant that works."""
    with engine_at(url) as engine:
        migrate(engine)
        with make_sessions(engine).begin() as session:
            if home.key and tenant_of_key(session, home.key):
                return home.key
            if find_tenant(session, LOCAL_TENANT) is None:
                add_tenant(session, LOCAL_TENANT)
            key = new_key(session, LOCAL_TENANT, "hilum serve")
    # Only a key that is committed is worth keeping.
    home.keep("key", key)
    return key


def _own_user(session: Session) -> UserRow:
    user = find_user(session, LOCAL_USER)
    if user is None:
        user = add_user(session, LOCAL_USER)
        grant(session, user, Role.ADMIN, None)
    return user


def _programs(home: Home, bind: str, environment: Mapping[str, str]) -> list[Program]:
    return [
        Program(
            name="web server",
            argv=bound_to_parent(gunicorn_arguments(bind=bind, workers=1, threads=16)),
            env=environment,
            log=home.logs / "api.log",
        ),
        Program(
            name="worker",
            argv=bound_to_parent(list(ARGUMENTS)),
            env=soft_stop(environment),
            log=home.logs / "worker.log",
            stop_s=WORKER_STOP_S,
        ),
        Program(
            name="beat",
            argv=bound_to_parent(["-m", "cli", "beat"]),
            env=environment,
            log=home.logs / "beat.log",
        ),
        Program(
            name="courier",
            argv=bound_to_parent(["-m", "cli", "courier"]),
            env=environment,
            log=home.logs / "courier.log",
        ),
    ]


def bound_to_parent(arguments: list[str]) -> list[str]:
    """Return the arguments of a Python program that ends when this process is killed."""
    command = [sys.executable, *arguments]
    setpriv = shutil.which("setpriv")
    # Only Linux has it; elsewhere a killed parent leaves its children to be ended by hand.
    return [setpriv, "--pdeathsig=TERM", "--", *command] if setpriv else command


def free_port(host: str, wanted: int) -> int:
    """Return the first free port from `wanted` on.

    Raises:
        ConfigurationError: none is free, or the address is not of this machine.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if _is_free(host, port):
            return port
    raise ConfigurationError(
        f"No port from {wanted} to {wanted + PORTS_TRIED - 1} is free at {host}."
    )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the web server does it: a port that a closed connection still lingers on is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _as_authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _wait_until_ready(system: System) -> None:
    if not system.family.wait_until(lambda: not _trouble(system.url), timeout_s=START_LIMIT_S):
        raise ConfigurationError(
            f"The web server did not get ready within {START_LIMIT_S:.0f} s."
            f" {_trouble(system.url)} The logs are in {system.home.logs}."
        )


def _trouble(url: str) -> str:
    """Return what keeps a server from taking studies; empty when nothing does."""
    try:
        answer = httpx.get(f"{url}/health/ready", timeout=5.0)
        return "" if answer.is_success else str(answer.json()["detail"])
    except httpx.HTTPError as error:
        return f"It does not answer ({type(error).__name__})."
    except (ValueError, KeyError):
        return "Something else answers there."
