# SPDX-License-Identifier: Apache-2.0
"""Packages of the extra `research`, which hospitals do not install."""

import importlib
from types import ModuleType

from hilum.errors import ConfigurationError


def need(name: str) -> ModuleType:
    """Import a module of the extra, or say how to install it.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"Package {name.partition('.')[0]}: not installed, expected the extra `research`: "
            "pip install 'hilum[research]'."
        ) from error
