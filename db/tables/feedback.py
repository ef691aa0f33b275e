# SPDX-License-Identifier: Apache-2.0
"""What readers said of reports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.users import UserRow


class FeedbackRow(Row):
    """One reader's word on one report; appended, never changed: the newest of each reader counts.

    A report may be graded anew later, so what was judged is kept with the word.
    """

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    report_id: Mapped[UUID] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    """Who said it."""
    agrees: Mapped[bool]
    verdict: Mapped[str | None]
    """What it should have been; empty where they agree, or did not say."""
    comment: Mapped[str | None]
    """In their own words, which may name the patient: shown in the case and nowhere else."""

    pipeline: Mapped[str]
    network: Mapped[str]
    judged_verdict: Mapped[str]
    """Hilum's, as the reader saw it."""
    thresholds: Mapped[str]
    """Version of the cuts behind it."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    user: Mapped[UserRow] = relationship()

    __table_args__ = (
        CheckConstraint("verdict IS NULL OR NOT agrees", name="only_disagreement_corrects"),
        Index("ix_feedback_reader", "report_id", "user_id", "id"),
        Index("ix_feedback_tenant_created", "tenant_id", "created_at"),
    )
