# SPDX-License-Identifier: Apache-2.0
"""How a part of an installation is: what `hilum doctor` and the page of health both say."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hilum.errors import HilumError
from hilum.registry import Registry
from hilum.settings import MIB, Settings


class Health(StrEnum):
    """How a part is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one look.

    Attributes:
        name: of the part.
        health: how it is.
        detail: what was found, and what was expected where that differs.
    """

    name: str
    health: Health
    detail: str


def check_usual_network(settings: Settings) -> Iterator[Check]:
    """Look for the network of jobs that name none."""
    registry = Registry.at(settings.weights)
    try:
        yield Check(
            "network", Health.OK, f"{registry.find(settings.network).id} where none is named"
        )
    except HilumError as error:
        yield Check("network", Health.FAIL, f"HILUM_NETWORK: {error.message}")


def check_spool(settings: Settings) -> Iterator[Check]:
    """Look at the room for uploads."""
    folder = settings.spool_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(folder).free // MIB
    except OSError as error:
        yield Check("spool", Health.FAIL, f"{folder}: {error.strerror}")
        return
    detail = f"{folder}, {free_mb} MiB free"
    if free_mb < settings.min_free_mb:
        yield Check("spool", Health.FAIL, f"{detail}, expected {settings.min_free_mb}")
        return
    # An upload lies here packed and unpacked at once.
    roomy = free_mb > settings.min_free_mb + settings.max_upload_mb
    yield Check("spool", Health.OK if roomy else Health.WARN, detail)
