# SPDX-License-Identifier: Apache-2.0
"""How lists are asked for: by which filters, in which order, which page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final, Generic, TypeVar

from apiflask import Schema
from apiflask.fields import (
    UUID,
    AwareDateTime,
    Boolean,
    Date,
    Enum,
    Float,
    Integer,
    String,
)
from apiflask.validators import Length, OneOf, Range, Regexp
from flask import request
from marshmallow import RAISE

from db.batches import SORTS as BATCH_SORTS
from db.batches import BatchFilter
from db.jobs import SORTS as JOB_SORTS
from db.jobs import JobFilter
from db.notices import SORTS as NOTICE_SORTS
from db.notices import NoticeFilter
from db.pages import Page
from db.reports import SORTS as REPORT_SORTS
from db.reports import ReportFilter
from db.studies import SORTS as STUDY_SORTS
from db.studies import StudyFilter
from hilum.destinations import DeliveryState
from hilum.grading import Grade, Verdict
from hilum.jobs import Priority, State
from hilum.webhooks import EVENTS

LARGEST_PAGE: Final = 200
USUAL_PAGE: Final = 50
LONGEST_CURSOR: Final = 512
NEWEST_FIRST: Final = "-created_at"

NAME: Final = Regexp(r"^[a-z0-9-]{1,64}$", error="Must be a name of letters, digits and dashes.")
NETWORK: Final = Regexp(
    r"^[a-z0-9-]{1,64}(@[0-9.]{1,40})?$", error="Must be a name, or a name, @ and a version."
)
CODE: Final = Regexp(r"^[a-z0-9_]{1,64}$", error="Must be a code of letters and underscores.")
UID: Final = Regexp(r"^[0-9.]{1,64}$", error="Must be a DICOM UID.")
SHARE: Final = Range(0, 1)

F = TypeVar("F", JobFilter, BatchFilter, StudyFilter, ReportFilter, NoticeFilter)


def _note(sentence: str) -> dict[str, str]:
    return {"description": sentence}


def _sort_by(columns: Mapping[str, Any]) -> String:
    choices = [f"{sign}{name}" for name in columns for sign in ("-", "")]
    return String(
        load_default=NEWEST_FIRST,
        validate=OneOf(choices),
        metadata=_note("A minus puts the largest first."),
    )


class Created(Schema):
    """When something was made."""

    class Meta:
        """A misspelt filter, passed over, would answer with everything."""

        unknown = RAISE

    created_from = AwareDateTime(
        attribute="since", default_timezone=UTC, metadata=_note("At or after.")
    )
    created_to = AwareDateTime(attribute="until", default_timezone=UTC, metadata=_note("Before."))


class ListQuery(Created):
    """What every list is asked for with."""

    cursor = String(
        validate=Length(1, LONGEST_CURSOR), metadata=_note("`next_cursor` of the page before.")
    )
    limit = Integer(
        load_default=USUAL_PAGE,
        validate=Range(1, LARGEST_PAGE),
        metadata=_note("Items of a page."),
    )
    format = String(
        validate=OneOf(["json", "csv"]),
        metadata=_note("`csv` streams the whole list as a file, as `Accept: text/csv` does."),
    )


class WhichJobs(Schema):
    """What jobs are chosen by."""

    state = Enum(State, by_value=True)
    priority = Enum(Priority, by_value=True)
    pipeline = String(validate=NAME)
    network = String(validate=NETWORK, metadata=_note("`name@version`, or `name` for all."))
    error_code = String(validate=CODE, metadata=_note("Of what ended for this reason."))
    study_id = UUID(metadata=_note("Of this upload."))
    batch_id = UUID(metadata=_note("In this batch."))


class JobFilterJSON(WhichJobs, Created):
    """Jobs that something is done with."""


class JobsQuery(WhichJobs, ListQuery):
    """Which jobs."""

    sort = _sort_by(JOB_SORTS)


class BatchesQuery(ListQuery):
    """Which batches."""

    class Meta:
        """Likewise; what a batch counts has no place in a line of CSV."""

        unknown = RAISE
        exclude = ("format",)

    sort = _sort_by(BATCH_SORTS)


class StudiesQuery(ListQuery):
    """Which studies."""

    study_uid = String(validate=UID, metadata=_note("Every upload of this study."))
    study_date_from = Date(attribute="dated_from", metadata=_note("Included."))
    study_date_to = Date(attribute="dated_to", metadata=_note("Included."))
    sort = _sort_by(STUDY_SORTS)


class ReportsQuery(ListQuery):
    """Which reports."""

    verdict = Enum(Verdict, by_value=True)
    grade = Enum(Grade, by_value=True)
    review = Boolean(metadata=_note("Whether a person should look."))
    lesion_share_min = Float(attribute="share_from", validate=SHARE, metadata=_note("Included."))
    lesion_share_max = Float(attribute="share_to", validate=SHARE, metadata=_note("Included."))
    pipeline = String(validate=NAME)
    network = String(validate=NETWORK, metadata=_note("`name@version`, or `name` for all."))
    study_uid = String(validate=UID, metadata=_note("Of this study, whichever upload of it."))
    sort = _sort_by(REPORT_SORTS)


class NoticesQuery(ListQuery):
    """Which deliveries of a webhook."""

    state = Enum(DeliveryState, by_value=True)
    event = String(validate=OneOf(EVENTS))
    job_id = UUID(metadata=_note("About this job."))
    sort = _sort_by(NOTICE_SORTS)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[F]):
    """A list that was asked for.

    Attributes:
        chosen: which rows.
        page: which part of them, in which order.
        as_csv: the whole list as a file.
    """

    chosen: F
    page: Page
    as_csv: bool

    @classmethod
    def of(cls, kind: type[F], query: Mapping[str, Any]) -> "Wanted[F]":
        """Sort out what a loaded query asks for."""
        fields = dict(query)
        page = Page(fields.pop("cursor", None), fields.pop("limit"), fields.pop("sort"))
        as_csv = _wants_csv(fields.pop("format", None))
        return cls(kind(**fields), page, as_csv)


def _wants_csv(asked: str | None) -> bool:
    if asked is not None:
        return asked == "csv"
    best = request.accept_mimetypes.best_match(["application/json", "text/csv"])
    return best == "text/csv"
