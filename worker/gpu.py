# SPDX-License-Identifier: Apache-2.0
"""The networks of one worker process: the exact version that a job was accepted with.

Nothing here runs before the fork: a parent that so much as asks whether there is a GPU leaves
its children unable to use it.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
import torch

from hilum.errors import (
    BrokenWeights,
    GpuMemory,
    HilumError,
    MissingSetting,
    NetworkAbsent,
    UnknownNetwork,
)
from hilum.networks.maskrcnn import Segmenter, choose_device, is_short_of_memory
from hilum.networks.weights import load_path
from hilum.registry import Entry, Registry
from hilum.settings import Settings

KEPT: Final = 2
"""Networks in memory at a time: a hospital that compares two need not load one for every job."""

log = structlog.get_logger(__name__)


class Networks:
    """Answers a network by name: loaded and warmed when first asked for, then kept a while."""

    def __init__(self, device: str, registry: Registry) -> None:
        self._device = device
        self._registry = registry
        self._loaded: OrderedDict[str, Segmenter] = OrderedDict()

    def __call__(self, name: str) -> Segmenter:
        """Return a network that is ready to run.

        Raises:
            NetworkAbsent: this worker has none of this name and version that it could use now.
            GpuMemory: the device has no memory for it.
        """
        try:
            return self._ready(self._registry.find(name))
        except (UnknownNetwork, BrokenWeights, NetworkAbsent, OSError) as error:
            # The job was accepted, so another worker has it, or its files are still on their way.
            why = error.message if isinstance(error, HilumError) else f"{error.strerror}."
            raise NetworkAbsent(f"This worker lacks network {name}. {why}") from error

    @property
    def loaded(self) -> tuple[str, ...]:
        """Those in memory, by name and version."""
        return tuple(self._loaded)

    def _ready(self, entry: Entry) -> Segmenter:
        kept = self._loaded.get(entry.id)
        # Files may be taken away and others imported under the same version.
        if kept is None or kept.info != entry.card.info:
            self._load(entry)
        self._loaded.move_to_end(entry.id)
        return self._loaded[entry.id]

    def _load(self, entry: Entry) -> None:
        self._loaded.pop(entry.id, None)
        while len(self._loaded) >= KEPT:
            # Let go before the next one is read: a small GPU may not hold one more.
            self._loaded.popitem(last=False)
        segmenter = _load_and_warm(entry, self._device)
        segmenter.on_halved = partial(_tell_halved, entry.id)
        self._loaded[entry.id] = segmenter
        log.info("network.loaded", network=entry.id, device=str(segmenter.device))


def _load_and_warm(entry: Entry, device: str) -> Segmenter:
    try:
        segmenter = load_path(entry.path, device=device)
    except RuntimeError as error:
        if not is_short_of_memory(error):
            raise
    else:
        segmenter.warm_up()
        return segmenter
    # Outside of the handler: what was loaded so far lives as long as the traceback does.
    torch.cuda.empty_cache()
    raise GpuMemory(f"{choose_device(device)} has no memory for network {entry.id}.")


def _tell_halved(network: str, batch: int) -> None:
    log.warning("network.batch_halved", network=network, batch=batch)


def prepare(networks: Callable[[str], object], settings: Settings) -> None:
    """Make a fresh process ready for its first job.

    Raises:
        MissingSetting: this machine lacks the device of the settings.
    """
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    _check_device(settings.device)
    try:
        networks(settings.network)
    except (NetworkAbsent, GpuMemory) as error:
        # Jobs may name another network, and the files of this one may be on their way; another
        # program may leave the GPU.
        log.warning("network.absent", reason=error.message)


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=choose_device(name))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise MissingSetting(
            f"HILUM_DEVICE is {name!r}, expected a device of this machine: {reason}"
        ) from error
