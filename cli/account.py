# SPDX-License-Identifier: Apache-2.0
"""Who runs a command, for the audit log."""

import getpass
import os


def account() -> str:
    """Return the account of the operating system that this runs under, as the audit log has it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        name = str(os.getuid())
    return f"command {name}"
