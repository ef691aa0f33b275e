# SPDX-License-Identifier: Apache-2.0
"""How a part of an installation is: what `hilum doctor` and the page of health both say."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from hilum.certificates import expiries
from hilum.errors import HilumError
from hilum.registry import Registry
from hilum.settings import MIB, Settings

FEW_DAYS: Final = 30
"""A certificate that is valid for less wants to be renewed."""


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


def check_certificates(settings: Settings, *, at: datetime | None = None) -> Iterator[Check]:
    """Look how long the certificates of DICOM by TLS are valid.

    Args:
        settings: of TLS.
        at: the present; the clock's, where nothing is said.
    """
    named = {
        "DICOM certificate": settings.dimse_certificate,
        "DICOM authorities": settings.dimse_authorities,
    }
    for name, path in named.items():
        if path:
            yield _check_certificate(name, Path(path), at or datetime.now(UTC))


def _check_certificate(name: str, path: Path, at: datetime) -> Check:
    try:
        soonest = expiries(path)[0]
    except OSError as error:
        # A machine that speaks no DICOM by TLS need not have it.
        return Check(name, Health.WARN, f"{path}: {error.strerror} on this machine")
    except ValueError as error:
        return Check(name, Health.FAIL, f"{path}: {error}")
    days = (soonest - at).days
    until = f"{soonest:%Y-%m-%d %H:%M} UTC"
    if soonest <= at:
        return Check(name, Health.FAIL, f"{path} was valid until {until}, expected a new one")
    health = Health.OK if days >= FEW_DAYS else Health.WARN
    renew = "" if health is Health.OK else ": renew it, then restart `dimse` and `courier`"
    return Check(name, health, f"{path} is valid for {days} more days, until {until}{renew}")
