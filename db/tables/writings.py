# SPDX-License-Identifier: Apache-2.0
"""Files that are being written."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now


class WritingRow(Row):
    """Files that somebody began to write and that no other row names yet.

    Whoever names them removes it in the same transaction; whoever dies before leaves it behind, and
    the upkeep takes the files away.
    """

    __tablename__ = "writings"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    """Of their keys in the store."""
    claim: Mapped[UUID | None]
    """Token of the attempt that writes them; none of an upload."""
    begun_at: Mapped[datetime] = mapped_column(default=now)
    abandoned_at: Mapped[datetime | None]
    """When it was seen that nobody would go on; a late writer is given a while to notice it."""
