"""A real browser, spoken to through a pipe by its own protocol of development tools."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.programs import installed

AS_CHILD = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes a browser, which reads from descriptor 3 and writes to 4."""


@dataclass
class Tab:
    """A page in a browser.

    Attributes:
        asking, answering: ends of the pipes.
        session: names the page in what is asked; empty before there is one.
    """

    asking: int
    answering: int
    session: str = ""
    _numbers: Iterator[int] = field(default_factory=count)
    _rest: bytes = b""

    def open(self, url: str) -> None:
        target = self.ask("Target.createTarget", url=url)["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]

    def run(self, expression: str) -> Any:
        """Return what an expression of JavaScript is; None where the page is between two others."""
        return self.ask("Runtime.evaluate", expression=expression).get("result", {}).get("value")

    def wait_for(self, expression: str, limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while not self.run(expression):
            assert time.monotonic() < deadline, self.run("document.body.innerText")
            time.sleep(0.1)

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.asking, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            pass
        return answer.get("result", {})

    def _read(self) -> Any:
        while b"\0" not in self._rest:
            data = os.read(self.answering, 65536)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """Run a browser without a window for the length of a `with` block."""
    program = installed("chromium", package="chromium")
    asked, asking = os.pipe()
    answering, answered = os.pipe()
    command = [
        *(sys.executable, "-c", AS_CHILD, str(asked), str(answered), program, "--headless"),
        *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
        f"--user-data-dir={profile}",
    ]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, pass_fds=(asked, answered), stdout=quiet, stderr=quiet)
    os.close(asked)
    os.close(answered)
    try:
        yield Tab(asking, answering)
    finally:
        # It ends with the pipe.
        os.close(asking)
        process.wait(30)
        os.close(answering)
