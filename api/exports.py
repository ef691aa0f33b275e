# SPDX-License-Identifier: Apache-2.0
"""Lists as CSV files, streamed however long they are and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

from flask import Response

from db.tables import JobRow, NoticeRow, ReportRow, StudyRow

ROWS_AT_ONCE: Final = 200
"""Rows of one piece of the answer."""

FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A text that begins so is run by a spreadsheet (OWASP, CSV injection)."""

R = TypeVar("R")
Columns = Mapping[str, Callable[[R], Any]]

JOBS: Final[Columns[JobRow]] = {
    "id": lambda job: job.id,
    "study_id": lambda job: job.study_id,
    "study_uid": lambda job: job.study.study_uid,
    "pipeline": lambda job: job.pipeline,
    "network": lambda job: job.network,
    "priority": lambda job: job.priority,
    "state": lambda job: job.state,
    "attempts": lambda job: job.attempts,
    "error_code": lambda job: job.error_code,
    "error_message": lambda job: job.error_message,
    "created_at": lambda job: job.created_at,
    "started_at": lambda job: job.started_at,
    "finished_at": lambda job: job.finished_at,
}

STUDIES: Final[Columns[StudyRow]] = {
    "id": lambda study: study.id,
    "study_uid": lambda study: study.study_uid,
    "study_date": lambda study: study.study_date,
    "series": lambda study: len(study.series),
    "instances": lambda study: study.instance_count,
    "size_bytes": lambda study: study.size_bytes,
    "content_sha256": lambda study: study.content_sha256,
    "created_at": lambda study: study.created_at,
}

REPORTS: Final[Columns[ReportRow]] = {
    "job_id": lambda report: report.job_id,
    "study_id": lambda report: report.study_id,
    "study_uid": lambda report: report.study.study_uid,
    "study_date": lambda report: report.study.study_date,
    "verdict": lambda report: report.verdict,
    "grade": lambda report: report.grade,
    "review": lambda report: report.review,
    "lesion_share": lambda report: report.lesion_share,
    "lesion_ml": lambda report: report.lesion_ml,
    "lung_ml": lambda report: report.lung_ml,
    "pipeline": lambda report: report.pipeline,
    "pipeline_version": lambda report: report.pipeline_version,
    "network": lambda report: report.network,
    "thresholds": lambda report: report.thresholds,
    "seconds_per_slice": lambda report: report.seconds_per_slice,
    "created_at": lambda report: report.created_at,
}


NOTICES: Final[Columns[NoticeRow]] = {
    "id": lambda notice: notice.id,
    "job_id": lambda notice: notice.job_id,
    "event": lambda notice: notice.event,
    "state": lambda notice: notice.state,
    "attempts": lambda notice: notice.attempts,
    "status": lambda notice: notice.status,
    "error": lambda notice: notice.error,
    "created_at": lambda notice: notice.created_at,
    "due_at": lambda notice: notice.next_at,
    "delivered_at": lambda notice: notice.delivered_at,
}


def csv_response(name: str, columns: Columns[R], rows: Iterable[R]) -> Response:
    """Return rows as a CSV file that is written while they are read."""
    response = Response(_lines(columns, rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _lines(columns: Columns[R], rows: Iterable[R]) -> Iterator[str]:
    yield _written([list(columns)])
    remaining = iter(rows)
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        yield _written([[cell(read(row)) for read in columns.values()] for row in some])


def _written(lines: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue()


def cell(value: Any) -> Any:
    """Return a value as it stands in a cell; text never begins as a formula does."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return value
