# SPDX-License-Identifier: Apache-2.0
"""DICOM libraries without their warnings: they quote header values, and those may name the patient."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

for library in ("pydicom", "highdicom"):
    logging.getLogger(library).setLevel(logging.CRITICAL + 1)

_lock = Lock()
_depth = 0
_filters = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Read DICOM without a warning; threads may be inside together."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    # catch_warnings changes the whole process, so the first thread in sets it, the last one resets.
    global _depth  # noqa: PLW0603 - the count belongs to the process, as the filters do
    with _lock:
        if _depth == 0:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _depth += 1


def _leave() -> None:
    global _depth  # noqa: PLW0603 - likewise
    with _lock:
        _depth -= 1
        if _depth == 0:
            _filters.close()
