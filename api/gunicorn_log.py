# SPDX-License-Identifier: Apache-2.0
"""Gunicorn's own lines, as JSON like all others, and without what clients wrote."""

from typing import Any, Final

from gunicorn.config import Config  # type: ignore[import-untyped]  # it has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # likewise

from hilum.errors import HilumError
from hilum.logs import configure_logs
from hilum.settings import Settings

REFUSED: Final = "Invalid request from ip="
"""Begins the line about what is no HTTP; its end is what was sent, be it the name of a patient."""


class ServerLog(Logger):  # type: ignore[misc]  # likewise
    """Hands lines to the handler of this process."""

    def setup(self, cfg: Config) -> None:
        """Have no handlers of its own."""
        self.cfg = cfg
        self._access_log_enabled = False
        configure_logs(Settings.from_environment())
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a warning; of a request that is no HTTP, that there was one."""
        said = "A request that is no HTTP was refused." if msg.startswith(REFUSED) else msg
        super().warning(said, *args, **kwargs)

    def exception(self, msg: object, *_args: Any, **kwargs: Any) -> None:
        """Log where an error arose, without the address that was asked for: it may open a report."""
        if isinstance(msg, HilumError):
            super().exception(msg.message, **kwargs)
        else:
            said = msg if isinstance(msg, str) else type(msg).__name__
            super().exception(said.partition(" %")[0], **kwargs)
