# SPDX-License-Identifier: Apache-2.0
"""The report on paper: what was found, the montage, and how it came about, as PDF."""

import io
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

import PIL.Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table

from hilum.findings import Analysis, Report
from hilum.render import headline, montage

MARGIN: Final = 15 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
PICTURE: Final = 0.8 * WIDTH
"""Width of the montage, which leaves the page room for the rest."""

FINDINGS_MAX: Final = 6
"""Rows of the table of findings, so that one page holds all; the report has the others."""

STYLES: Final = getSampleStyleSheet()
GRID: Final = [
    ("FONTSIZE", (0, 0), (-1, -1), 8),
    ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black),
    ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.lightgrey),
    ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
]


def report_pdf(analysis: Analysis, identity: str) -> bytes:
    """Return the report as PDF, a page of A4 unless it has much to warn of.

    Args:
        analysis: what was found.
        identity: whose it is, in one line.
    """
    report, file = analysis.report, io.BytesIO()
    story = [
        _paragraph(headline(report), "Heading2"),
        _paragraph(report.intended_use, "Heading4"),
        _paragraph(identity),
        *(_paragraph(f"Look before use: {reason}") for reason in report.assessment.review),
        Spacer(0, 3 * mm),
        _lungs(report),
        Spacer(0, 3 * mm),
        _picture(montage(analysis)),
        Spacer(0, 3 * mm),
        *_findings(report),
        *(_paragraph(line) for line in _origin(report)),
    ]
    # Neither title nor author: a viewer's title bar is read by others than the document is.
    SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
    ).build(story)
    return file.getvalue()


def _lungs(report: Report) -> Table:
    assessment = report.assessment
    sides = (
        ("right lung", report.right, assessment.grade_right),
        ("left lung", report.left, assessment.grade_left),
        ("both", report.total, assessment.grade),
    )
    rows = [
        (name, f"{one.lung_ml:.0f}", f"{one.lesion_ml:.1f}", f"{one.share:.1%}", grade)
        for name, one, grade in sides
    ]
    return _table(["", "lung, ml", "lesion, ml", "share", "grade"], rows)


def _findings(report: Report) -> list[Flowable]:
    rows = [
        (
            f"{one.number}. {one.label}, {one.lung}",
            f"{one.volume_ml:.1f}",
            f"{one.mean_hu:.0f}",
            f"{one.first_slice} to {one.last_slice}",
        )
        for one in report.findings[:FINDINGS_MAX]
    ]
    if not rows:
        return []
    left = len(report.findings) - len(rows)
    rest = [_paragraph(f"and {left} smaller ones")] if left else []
    return [_table(["finding", "ml", "mean HU", "slices"], rows), *rest, Spacer(0, 3 * mm)]


def _origin(report: Report) -> list[str]:
    network = report.network
    timings = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings_s.items())
    return [
        (
            f"{report.pipeline} {report.pipeline_version} of Hilum {report.code_version}; network"
            f" {network.name} {network.version}, SHA-256 {network.sha256[:16]}, operating point"
            f" {network.operating_point:g}, on {network.device};"
            f" cuts {report.assessment.thresholds}."
        ),
        f"Read: series {report.series_uid}. {report.series_reason}",
        *report.warnings,
        f"Time: {timings}.",
    ]


def _paragraph(text: str, style: str = "BodyText") -> Paragraph:
    # A paragraph is markup, and what a header says may look like some.
    return Paragraph(escape(text), STYLES[style])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    first = WIDTH * 0.4
    rest = (WIDTH - first) / (len(head) - 1)
    return Table([head, *rows], colWidths=[first, *[rest] * (len(head) - 1)], style=GRID)


def _picture(drawn: PIL.Image.Image) -> Image:
    # On paper nobody sees what JPEG loses, and the file is a fifth of its size.
    jpeg = io.BytesIO()
    drawn.save(jpeg, "JPEG", quality=85)
    picture = Image(jpeg)
    picture.drawHeight *= PICTURE / picture.drawWidth
    picture.drawWidth = PICTURE
    return picture
