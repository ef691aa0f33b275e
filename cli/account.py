# SPDX-License-Identifier: Apache-2.0
"""Who runs a command, and the memory of what they did."""

import getpass
import os
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from db.audit import append
from hilum.audit import Action, Entry


def account() -> str:
    """Return the account of the operating system that this runs under, as the audit log has it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        name = str(os.getuid())
    return f"command {name}"


def remember(
    session: Session,
    action: Action,
    subject: str,
    tenant_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append what a command did to the audit log, as the last step of its transaction."""
    append(session, Entry(account(), action, tenant_id, subject, detail or {}))
