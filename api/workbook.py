# SPDX-License-Identifier: Apache-2.0
"""Lists as workbooks for spreadsheets: dates are dates there, and no text is ever a formula."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeVar

import xlsxwriter
from flask import Response, send_file
from xlsxwriter.worksheet import Worksheet

from api.exports import Columns
from api.parts import parts
from hilum.errors import InvalidRequest

MOST_ROWS: Final = 1_048_575
"""Of a sheet, below its header; Excel has no more."""

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMN_WIDTH: Final = 18

OPTIONS: Final = {
    # Row after row goes to the disk: a list of a year does not fit beside others in memory.
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}

R = TypeVar("R")


def workbook_response(name: str, columns: Columns[R], rows: Iterable[R]) -> Response:
    """Return rows as a workbook of one sheet, which lies on the disk until it is sent.

    Raises:
        InvalidRequest: there are more rows than a sheet has.
    """
    spool = parts().settings.spool_dir
    stream = TemporaryFile(dir=spool)  # noqa: SIM115 - closed by the answer, once it was sent
    try:
        _write(stream, name, columns, rows, str(spool))
    except BaseException:
        stream.close()
        raise
    stream.seek(0)
    return send_file(stream, XLSX, as_attachment=True, download_name=f"{name}.xlsx")


def _write(
    stream: IO[bytes], name: str, columns: Columns[R], rows: Iterable[R], folder: str
) -> None:
    with xlsxwriter.Workbook(stream, OPTIONS | {"tmpdir": folder}) as book:
        sheet = book.add_worksheet(name)
        sheet.set_column(0, len(columns) - 1, COLUMN_WIDTH)
        sheet.freeze_panes(1, 0)
        sheet.write_row(0, 0, list(columns), book.add_format({"bold": True}))
        formats: dict[type, Any] = {
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        for number, row in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise InvalidRequest(
                    f"The list has more than {MOST_ROWS:,} rows, expected no more in a workbook."
                    " Narrow it, or take it as CSV."
                )
            for place, read in enumerate(columns.values()):
                _put(sheet, number, place, read(row), formats)


def _put(sheet: Worksheet, row: int, column: int, value: Any, formats: dict[type, Any]) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    elif isinstance(value, datetime):
        # A sheet knows no time zones.
        moment = value.astimezone(UTC).replace(tzinfo=None)
        sheet.write_datetime(row, column, moment, formats[datetime])
    elif isinstance(value, date):
        sheet.write_datetime(row, column, value, formats[date])
    else:
        sheet.write_string(row, column, str(value))
