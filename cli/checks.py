# SPDX-License-Identifier: Apache-2.0
"""What `hilum doctor` looks at, one function a part; each answers and none raises."""

import importlib.util
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
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

from db.health import check_database, check_pauses, check_upkeep
from db.session import make_engine
from hilum.errors import HilumError, NetworkAbsent
from hilum.health import (
    Check,
    Health,
    check_certificates,
    check_spool,
    check_usual_network,
)
from hilum.registry import SHIPPED_ALONE, Broken, Entry, Registry
from hilum.settings import Settings
from hilum.storage import StudyStore
from worker.celery import make_app, visibility_timeouts

SYNTAXES: Final = {
    "JPEG": (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
    "JPEG-LS": (JPEGLSLossless, JPEGLSNearLossless),
    "JPEG 2000": (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2K),
    "RLE": (RLELossless,),
}
"""Compressions that scanners and archives send."""


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
    yield from check_usual_network(settings)
    try:
        sound, broken = Registry.at(settings.weights).survey()
    except NetworkAbsent as error:
        yield Check("own networks", Health.FAIL, f"{settings.weights}: {error.message}")
        return
    yield from (_tell_broken(one) for one in broken if not one.is_shipped)
    if importlib.util.find_spec("torch") is not None:
        yield from (_check_entry(one, one.id) for one in sound if not one.is_shipped)


def check_memory(settings: Settings) -> Iterator[Check]:
    """Look at the database, its schema, and whether anybody keeps up."""
    engine = make_engine(settings.database_url)
    try:
        yield from check_database(engine)
        yield from check_upkeep(engine)
        yield from check_pauses(engine)
    finally:
        engine.dispose()


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
    yield from check_spool(settings)


INSTALLATION: Final[Sequence[Callable[[Settings], Iterator[Check]]]] = (
    check_memory,
    check_queue,
    check_timeouts,
    check_storage,
    check_networks,
    check_certificates,
)
"""Every check that needs settings."""
