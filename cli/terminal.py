# SPDX-License-Identifier: Apache-2.0
"""Two voices: results go to standard output, everything else to standard error."""

import sys
from collections.abc import Mapping
from typing import Final, TextIO

from rich.console import Console

PIPE_WIDTH: Final = 160
"""Columns where there is no terminal to ask: a folded id could not be copied."""


def _console(stream: TextIO, *, stderr: bool) -> Console:
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


out: Final = _console(sys.stdout, stderr=False)
"""Results."""

err: Final = _console(sys.stderr, stderr=True)
"""Progress, advice and trouble."""


def narrate(sentence: str) -> None:
    """Say what happens."""
    err.print(sentence, markup=False, soft_wrap=True)


def notes(rows: Mapping[str, str]) -> None:
    """Say several named things, aligned."""
    width = max(map(len, rows))
    for name, value in rows.items():
        # A folded address could not be copied.
        err.print(f"  {name:<{width}}  {value}", markup=False, soft_wrap=True)
