# SPDX-License-Identifier: Apache-2.0
"""The tables, one class each. What is asked of them stands in the file of the noun in `db/`."""

from db.tables.audit import AuditRow
from db.tables.base import Row, now
from db.tables.batches import BatchJobRow, BatchRow
from db.tables.cases import CaseRow
from db.tables.deliveries import DeliveryRow, DestinationRow
from db.tables.feedback import FeedbackRow
from db.tables.jobs import ArtifactRow, JobEventRow, JobRow
from db.tables.outgoing import OPEN, OutgoingRow
from db.tables.pauses import DrainRow, PauseRow
from db.tables.purges import PurgedRow, PurgeRow
from db.tables.reports import FindingRow, ReportRow
from db.tables.saved_filters import SavedFilterRow
from db.tables.studies import InstanceRow, SeriesRow, StudyRow
from db.tables.tenants import KeyRow, TenantRow, TitleRow
from db.tables.thresholds import ThresholdsRow, ThresholdsUseRow
from db.tables.upkeep import UpkeepRow
from db.tables.users import GrantRow, SignInRow, UserRow
from db.tables.webhooks import NoticeRow, WebhookRow
from db.tables.workers import WorkerRow
from db.tables.writings import WritingRow

__all__ = [
    "OPEN",
    "ArtifactRow",
    "AuditRow",
    "BatchJobRow",
    "BatchRow",
    "CaseRow",
    "DeliveryRow",
    "DestinationRow",
    "DrainRow",
    "FeedbackRow",
    "FindingRow",
    "GrantRow",
    "InstanceRow",
    "JobEventRow",
    "JobRow",
    "KeyRow",
    "NoticeRow",
    "OutgoingRow",
    "PauseRow",
    "PurgeRow",
    "PurgedRow",
    "ReportRow",
    "Row",
    "SavedFilterRow",
    "SeriesRow",
    "SignInRow",
    "StudyRow",
    "TenantRow",
    "ThresholdsRow",
    "ThresholdsUseRow",
    "TitleRow",
    "UpkeepRow",
    "UserRow",
    "WebhookRow",
    "WorkerRow",
    "WritingRow",
    "now",
]
