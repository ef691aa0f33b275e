# SPDX-License-Identifier: Apache-2.0
"""Which server a command talks to: options, then the environment, then the one that runs here."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from cli.client import Client
from cli.home import DEFAULT_HOME, Home
from hilum.errors import MissingSetting

DEFAULT_URL: Final = "http://127.0.0.1:8080"

P = ParamSpec("P")
R = TypeVar("R")


def with_client(command: Callable[Concatenate[Client, P], R]) -> Callable[..., R]:
    """Give a command the options that name a server, and a client as its first argument."""

    @click.option("--url", envvar="HILUM_API_URL", help="Server; else HILUM_API_URL.")
    @wraps(command)
    def wrapped(*args: Any, url: str | None, **options: Any) -> R:
        with connected(url) as client:
            return command(client, *args, **options)

    return wrapped


@contextmanager
def connected(url: str | None) -> Iterator[Client]:
    """Yield a client of the server at a URL, or of the `hilum serve` that runs in this folder.

    Raises:
        MissingSetting: there is no API key.
    """
    home = Home(DEFAULT_HOME)
    # A key on the command line would stand in the list of processes, so there is no option. The
    # local system's key is for the local system: another server must not be told it.
    key = os.environ.get("HILUM_API_KEY") or (home.key if url in {None, home.url} else None)
    if not key:
        raise MissingSetting(
            "HILUM_API_KEY is not set and no `hilum serve` ran here;"
            " `hilum keys new` makes a key on the server."
        )
    client = Client(url or home.url or DEFAULT_URL, key)
    try:
        yield client
    finally:
        client.close()
