# SPDX-License-Identifier: Apache-2.0
"""Hilum: a CT study goes in, a graded report comes out."""

import importlib
import os
from importlib.metadata import version
from typing import Any

__version__ = version("hilum")
__all__ = ["__version__", "analyse"]


# OpenMP reads this once, when torch loads it. A thread that spins at a barrier takes the very core
# that the other one waits for, so on a shared machine patience is up to five times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    # The web server imports this package and must not load torch: `analyse` waits until asked for.
    if name == "analyse":
        return importlib.import_module("hilum.pipelines.analyse").analyse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
