# SPDX-License-Identifier: Apache-2.0
"""What a worker process uses of its machine: memory, and the GPU it computes on.

Like `worker.gpu`, nothing here runs before the fork.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pynvml
import structlog
import torch

from hilum.networks.maskrcnn import choose_device

MEMORY = Path("/proc/self/statm")
"""Linux: sizes of this process in pages, the resident one second."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """What a process computes on.

    Attributes:
        name: `cpu`, or `cuda:` and its number.
        gpu: what the GPU is called; None where there is none.
        handle: of the driver's own library; None where there is none to ask.
    """

    name: str
    gpu: str | None = None
    handle: Any = None

    @classmethod
    def open(cls, setting: str) -> Self:
        """Return the device that a setting means in this process."""
        device = choose_device(setting)
        if device.type != "cuda":
            return cls(str(device))
        index = torch.cuda.current_device() if device.index is None else device.index
        properties = torch.cuda.get_device_properties(index)
        return cls(f"cuda:{index}", properties.name, _handle(str(properties.uuid)))

    def memory_bytes(self) -> tuple[int | None, int | None]:
        """Return how much memory of the GPU is used, by whomever, and how much it has."""
        found = self._ask(pynvml.nvmlDeviceGetMemoryInfo)
        return (None, None) if found is None else (int(found.used), int(found.total))

    def utilisation(self) -> float | None:
        """Return the share of the last moment in which the GPU was at work, 0..1."""
        found = self._ask(pynvml.nvmlDeviceGetUtilizationRates)
        return None if found is None else float(found.gpu) / 100

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        # A slice of a GPU (MIG) has no utilisation, a driver may be updated under a running process.
        with suppress(pynvml.NVMLError):
            return None if self.handle is None else question(self.handle)
        return None


def resident_bytes() -> int | None:
    """Return the memory of this process; None where the system does not tell."""
    try:
        pages = int(MEMORY.read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _handle(uuid: str) -> Any:
    # By its UUID: CUDA counts the devices that it may see, the driver all there are.
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError as error:
        log.warning("gpu.unobserved", reason=str(error))
        return None
