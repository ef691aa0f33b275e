# SPDX-License-Identifier: Apache-2.0
"""How long studies are kept, and why one goes."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

LONGEST_DAYS: Final = 36_500
"""A hundred years; whoever keeps longer keeps for ever."""


class Reason(StrEnum):
    """Why studies were purged. No free text: somebody would write a name into it."""

    REQUEST = "request"
    """Somebody asked for it."""
    RETENTION = "retention"
    """They were older than their hospital keeps them."""


def kept_since(keep_days: int, moment: datetime) -> datetime:
    """Return before when a study must have been received to be past its time.

    It is a midnight (UTC): what came on one day goes on one day, and is told of at once.
    """
    today = datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
    return today - timedelta(days=keep_days)
