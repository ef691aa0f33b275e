# SPDX-License-Identifier: Apache-2.0
"""The folder in which one machine keeps its own Hilum: data, logs, and the key to get in."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hilum.settings import Settings

DEFAULT_HOME: Final = Path(".hilum")
"""Beside the code, where `make demo` runs; `--home` names another."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that only its owner can read.

    Attributes:
        folder: its path.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the home in a folder, made when absent."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(folder.resolve())

    @property
    def store(self) -> Path:
        """Studies and results."""
        return self.folder / "store"

    @property
    def spool(self) -> Path:
        """Uploads on their way in."""
        return self.folder / "spool"

    @property
    def weights(self) -> Path:
        """Networks of one's own."""
        return self.folder / "weights"

    @property
    def logs(self) -> Path:
        """What the children say."""
        return self.folder / "logs"

    @property
    def key(self) -> str | None:
        """The API key of the local tenant; None before the first start."""
        return self._read("key")

    @property
    def url(self) -> str | None:
        """Where the system of this home serves, or last served; None before the first start."""
        return self._read("url")

    @property
    def secret(self) -> str:
        """What this system signs links with; made on first use, then kept."""
        if (secret := self._read("secret")) is None:
            secret = secrets.token_urlsafe(32)
            self.keep("secret", secret)
        return secret

    @property
    def settings(self) -> Mapping[str, str] | None:
        """The settings of the system that runs here, by field; None while none runs."""
        text = self._read("settings.json")
        return json.loads(text) if text else None

    def keep(self, name: str, line: str) -> None:
        """Write a one-line file that only its owner can read."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(f"{line}\n")

    def forget(self, name: str) -> None:
        """Remove a file of `keep`."""
        (self.folder / name).unlink(missing_ok=True)

    def _read(self, name: str) -> str | None:
        path = self.folder / name
        return path.read_text().strip() if path.exists() else None


def find_settings() -> Settings:
    """Return the settings of the environment, or of the `hilum serve` that runs in this folder.

    Raises:
        MissingSetting: neither tells where the database is.
    """
    return Settings.from_environment(**local_settings())


def local_settings() -> Mapping[str, str]:
    """Return the settings of the `hilum serve` that runs in this folder, by field.

    There are none where nothing runs, where it is another user's, or where the environment names
    another system.
    """
    if "HILUM_DATABASE_URL" in os.environ:
        return {}
    try:
        return Home(DEFAULT_HOME).settings or {}
    except PermissionError:
        return {}
