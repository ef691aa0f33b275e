# SPDX-License-Identifier: Apache-2.0
"""The cuts behind grades that an installation has made for itself, and which it went by when."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now


class ThresholdsRow(Row):
    """One set, `hilum.grading.Thresholds` by column; never changed, as reports name its version."""

    __tablename__ = "thresholds"

    version: Mapped[str] = mapped_column(primary_key=True)
    finding_from: Mapped[float]
    bins: Mapped[list[Any]]
    alarming_from: Mapped[str]
    review_margin: Mapped[float]
    finding_margin: Mapped[float]
    source: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(default=now)


class ThresholdsUseRow(Row):
    """That an installation went over to a set; the newest counts, and each ends the one before."""

    __tablename__ = "thresholds_uses"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    version: Mapped[str]
    """A kept set or a shipped one, which no row holds."""
    chosen_by: Mapped[str]
    chosen_at: Mapped[datetime] = mapped_column(default=now)
    regrade_by: Mapped[str | None]
    """Who asked that older reports be graded by it, too."""
    regraded_at: Mapped[datetime | None]
    """When the last of them was."""
