# SPDX-License-Identifier: Apache-2.0
"""The networks of one worker process.

Nothing here runs before the fork: a parent that so much as asks whether there is a GPU leaves
its children unable to use it.
"""

import os
from collections.abc import Callable

import structlog
import torch

from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import load
from hilum.settings import Settings

log = structlog.get_logger(__name__)


class Networks:
    """Answers a network by name: loaded and warmed when first asked for, then kept."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._loaded: dict[str, Segmenter] = {}

    def __call__(self, name: str) -> Segmenter:
        """Return a network that is ready to run.

        Raises:
            UnknownNetwork, NetworkNotTrained: there is none of this name, or no weights for it.
            BrokenWeights: its file is not the one its card describes.
        """
        if name not in self._loaded:
            segmenter = load(name, device=self._device)
            segmenter.warm_up()
            self._loaded[name] = segmenter
            log.info("network.loaded", network=name, device=str(segmenter.device))
        return self._loaded[name]


def prepare(networks: Callable[[str], object], settings: Settings) -> None:
    """Make a fresh process ready for its first job."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    networks(settings.network)
