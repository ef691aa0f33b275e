# SPDX-License-Identifier: Apache-2.0
"""What `hilum doctor` looks at, one function a part; each answers and none raises."""

import importlib.util
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

import redis
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.schema import check_migrated, head
from db.session import make_engine, make_sessions
from db.upkeep import LATE_S, since_upkeep_s
from hilum.errors import HilumError, NetworkAbsent
from hilum.registry import SHIPPED_ALONE, Broken, Entry, Registry
from hilum.settings import MIB, Settings
from hilum.storage import StudyStore
from worker.celery import make_app, visibility_timeouts

SYNTAXES: Final = {
    "JPEG": (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
    "JPEG-LS": (JPEGLSLossless, JPEGLSNearLossless),
    "JPEG 2000": (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2K),
    "RLE": (RLELossless,),
}
"""Compressions that scanners and archives send."""


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


# ── Whatever the settings ─────────────────────────────────────────────────────────────────────


def check_machine() -> Iterator[Check]:
    """Look at Python, the decoders, the pages' scripts, the device and the weights."""
    yield Check("python", Health.OK, sys.version.split()[0])
    missing = [
        name
        for name, syntaxes in SYNTAXES.items()
        if not all(get_decoder(syntax).is_available for syntax in syntaxes)
    ]
    if missing:
        yield Check("decoders", Health.FAIL, f"no decoder for {', '.join(missing)}")
    else:
        yield Check("decoders", Health.OK, ", ".join(SYNTAXES))
    if importlib.util.find_spec("apiflask") is not None:
        from api.vendor import missing_scripts  # noqa: PLC0415 - a worker's image has no Flask

        yield check_scripts(missing_scripts())
    if importlib.util.find_spec("torch") is None:
        yield Check("device", Health.WARN, "torch is not installed: this can serve, not segment")
        return
    yield _check_device()
    yield from _check_weights()


def check_scripts(missing: Sequence[str]) -> Check:
    """Say whether pages find what they load."""
    if not missing:
        return Check("scripts", Health.OK, "pages find all they load")
    detail = f"pages lack {', '.join(missing)}: run `make install`, or build the image anew"
    return Check("scripts", Health.WARN, detail)


def _check_device() -> Check:
    import torch  # noqa: PLC0415 - the image of the web server has none

    if torch.cuda.is_available():
        return Check("device", Health.OK, f"cuda: {torch.cuda.get_device_name()}")
    return Check("device", Health.WARN, f"cpu with {torch.get_num_threads()} threads, no GPU")


def _check_weights() -> Iterator[Check]:
    sound, broken = SHIPPED_ALONE.survey()
    yield from (_check_entry(one, one.name) for one in sound)
    yield from (_tell_broken(one) for one in broken)


def _check_entry(entry: Entry, name: str) -> Check:
    from hilum.networks.weights import verify  # noqa: PLC0415 - likewise, it imports torch

    try:
        card = verify(entry.path)
    except HilumError as error:
        return Check(f"weights {name}", Health.FAIL, error.message)
    return Check(f"weights {name}", Health.OK, f"{card.version}, {card.sha256[:12]}")


def _tell_broken(one: Broken) -> Check:
    return Check(f"weights {one.path.stem}", Health.FAIL, one.error.message)


# ── What the settings name ────────────────────────────────────────────────────────────────────


def check_networks(settings: Settings) -> Iterator[Check]:
    """Look at the usual network, and at the installation's own."""
    registry = Registry.at(settings.weights)
    try:
        yield Check(
            "network", Health.OK, f"{registry.find(settings.network).id} where none is named"
        )
    except HilumError as error:
        yield Check("network", Health.FAIL, f"HILUM_NETWORK: {error.message}")
    try:
        sound, broken = registry.survey()
    except NetworkAbsent as error:
        yield Check("own networks", Health.FAIL, f"{settings.weights}: {error.message}")
        return
    yield from (_tell_broken(one) for one in broken if not one.is_shipped)
    if importlib.util.find_spec("torch") is not None:
        yield from (_check_entry(one, one.id) for one in sound if not one.is_shipped)


def check_database(settings: Settings) -> Iterator[Check]:
    """Look at the database and its schema."""
    engine = make_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        yield Check("database", Health.OK, f"PostgreSQL {version}")
        check_migrated(engine)
        yield Check("migrations", Health.OK, head())
    except SQLAlchemyError as error:
        yield Check("database", Health.FAIL, f"does not answer: {type(error).__name__}")
    except HilumError as error:
        yield Check("migrations", Health.FAIL, error.message)
    finally:
        engine.dispose()


def check_upkeep(settings: Settings) -> Iterator[Check]:
    """Look for a process that takes jobs back from dead workers."""
    engine = make_engine(settings.database_url)
    try:
        with make_sessions(engine).begin() as session:
            since_s = since_upkeep_s(session)
    except SQLAlchemyError:
        # The check of the database says why.
        return
    finally:
        engine.dispose()
    if since_s is None:
        yield Check("upkeep", Health.WARN, "nobody keeps up: start `hilum beat`")
    else:
        health = Health.OK if since_s < LATE_S else Health.WARN
        late = "" if health is Health.OK else ", expected every few seconds: start `hilum beat`"
        yield Check("upkeep", health, f"{since_s:.0f} s ago{late}")


def check_queue(settings: Settings) -> Iterator[Check]:
    """Look at the broker, and whether it would throw messages away."""
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=3)
    try:
        server = client.info("server")
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = server.get("valkey_version", server["redis_version"])
        yield Check("queue", Health.OK, f"{name} {version}")
        with suppress(redis.ResponseError):  # A hosted server may forbid to ask.
            policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
            kept = policy == "noeviction"
            health = Health.OK if kept else Health.WARN
            yield Check(
                "queue memory", health, f"{policy}{'' if kept else ', expected noeviction'}"
            )
    except redis.RedisError as error:
        yield Check("queue", Health.FAIL, f"does not answer: {type(error).__name__}")
    finally:
        client.close()


def check_timeouts(settings: Settings) -> Iterator[Check]:
    """Look at the three visibility timeouts; the shortest one counts, whoever set it."""
    limit_s = settings.task_time_limit_s
    try:
        found = visibility_timeouts(make_app(settings))
    except HilumError as error:
        yield Check("visibility timeouts", Health.FAIL, error.message)
        return
    for place, timeout_s in found.items():
        is_long = timeout_s is not None and timeout_s > limit_s
        detail = f"{timeout_s} s, a job may take {limit_s} s"
        yield Check(place, Health.OK if is_long else Health.FAIL, detail)


def check_storage(settings: Settings) -> Iterator[Check]:
    """Write, read and remove a file in the store; look at the room that is left."""
    key = f".doctor/{uuid4().hex}"
    try:
        store = StudyStore.open(settings.storage_url, min_free_mb=settings.min_free_mb)
        store.put(io.BytesIO(b"hilum"), key)
        with store.open_file(key) as stream:
            stream.read()
        store.delete(".doctor")
        yield Check("storage", Health.OK, settings.storage_url)
    except HilumError as error:
        yield Check("storage", Health.FAIL, error.message)
    except Exception as error:  # noqa: BLE001 - every store behind fsspec has errors of its own
        yield Check("storage", Health.FAIL, f"{settings.storage_url}: {type(error).__name__}")
    yield _check_spool(settings)


def _check_spool(settings: Settings) -> Check:
    folder: Path = settings.spool_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(folder).free // MIB
    except OSError as error:
        return Check("spool", Health.FAIL, f"{folder}: {error.strerror}")
    detail = f"{folder}, {free_mb} MiB free"
    if free_mb < settings.min_free_mb:
        return Check("spool", Health.FAIL, f"{detail}, expected {settings.min_free_mb}")
    # An upload lies here packed and unpacked at once.
    roomy = free_mb > settings.min_free_mb + settings.max_upload_mb
    return Check("spool", Health.OK if roomy else Health.WARN, detail)


INSTALLATION: Final[Sequence[Callable[[Settings], Iterator[Check]]]] = (
    check_database,
    check_upkeep,
    check_queue,
    check_timeouts,
    check_storage,
    check_networks,
)
"""Every check that needs settings."""
