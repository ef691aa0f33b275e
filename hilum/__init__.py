# SPDX-License-Identifier: Apache-2.0
"""Hilum: a CT study goes in, a graded report comes out."""

import importlib
from importlib.metadata import version
from typing import Any

__version__ = version("hilum")
__all__ = ["__version__", "analyse"]


def __getattr__(name: str) -> Any:
    # The web server imports this package and must not load torch: `analyse` waits until asked for.
    if name == "analyse":
        return importlib.import_module("hilum.pipelines.analyse").analyse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
