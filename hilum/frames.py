# SPDX-License-Identifier: Apache-2.0
"""Where a program was: one line a call, the innermost last, without values and without messages.

A frame reads `hilum/dicom/read.py:41 read_grid`. Files are named as modules are looked up, so that
nobody learns how the disk of a worker is laid out.
"""

import re
import sys
import traceback
from types import FrameType
from typing import Final

DUMPED: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$')
"""One call, as `faulthandler` writes it: the innermost first."""

FATAL: Final = "Fatal Python error: "
"""Begins what `faulthandler` writes when a process dies."""


def frames_of(error: BaseException) -> list[str]:
    """Return where an error arose."""
    return _told(traceback.extract_tb(error.__traceback__))


def frames_of_thread(ident: int) -> list[str]:
    """Return where a thread of this process is now; nothing where it has ended."""
    frame: FrameType | None = sys._current_frames().get(ident)  # noqa: SLF001 - there is no other way to see another thread
    return [] if frame is None else _told(traceback.extract_stack(frame))


def read_dump(text: str) -> tuple[str, list[str]] | None:
    """Return what a process died of and where, from what `faulthandler` wrote; None where nothing is."""
    lines = text.splitlines()
    causes = [line.removeprefix(FATAL) for line in lines if line.startswith(FATAL)]
    if not causes:
        return None
    found = [call for line in lines if (call := DUMPED.match(line))]
    return causes[0], [_frame(call["file"], call["line"], call["name"]) for call in reversed(found)]


def _told(calls: traceback.StackSummary) -> list[str]:
    return [_frame(call.filename, call.lineno, call.name) for call in calls]


def _frame(file: str, line: int | str | None, name: str) -> str:
    return f"{_as_imported(file)}:{line} {name}"


def _as_imported(file: str) -> str:
    roots = (f"{root.rstrip('/')}/" for root in sys.path if root)
    # The longest: packages often lie in a folder that is on the path itself.
    return file.removeprefix(
        max((one for one in roots if file.startswith(one)), key=len, default="")
    )
