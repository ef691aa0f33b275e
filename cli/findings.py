# SPDX-License-Identifier: Apache-2.0
"""A report at the terminal: verdict, lungs, findings, timings."""

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from cli.terminal import out
from hilum.grading import Verdict
from hilum.jobs import Stage

COLOR: Final = {
    Verdict.NO_FINDING.value: "bold green",
    Verdict.MILD.value: "bold yellow",
    Verdict.ALARMING.value: "bold red",
}

MOST_FINDINGS: Final = 12
"""Rows of the findings table; the rest is counted."""


def show_report(report: Mapping[str, Any]) -> None:
    """Print a report, as `Report.to_json` makes it, for people."""
    assessment, total = report["assessment"], report["total"]
    verdict = assessment["verdict"]
    out.print(
        Text.assemble(
            (verdict, COLOR[verdict]),
            f"  {assessment['grade']}  {total['share']:.1%} of the lungs"
            f" ({total['lesion_ml']:.1f} of {total['lung_ml']:.0f} ml)",
        ),
        soft_wrap=True,
    )
    for sentence in assessment["review"]:
        out.print(f"Review: {sentence}", markup=False, soft_wrap=True)
    for sentence in report["warnings"]:
        out.print(f"Note: {sentence}", markup=False, soft_wrap=True)
    out.print(_lungs(report))
    if report["findings"]:
        out.print(_findings(report["findings"]))
    out.print(_timings(report))
    out.print(_provenance(report), markup=False, style="dim", soft_wrap=True)


def show_slice(report: Mapping[str, Any]) -> None:
    """Print a slice report, as `SliceReport.to_json` makes it, for people."""
    table = Table("area", "mm2", box=None)
    table.columns[1].justify = "right"
    table.add_row("lung", f"{report['lung_mm2']:.0f}")
    for label, area in report["by_label"].items():
        table.add_row(label, f"{area:.0f}")
    out.print(table)
    out.print("One slice has no verdict.", _provenance(report), style="dim", soft_wrap=True)


def _provenance(report: Mapping[str, Any]) -> str:
    network = report["network"]
    made_by = f"{network['name']} {network['version']} on {network['device']}"
    return f"{made_by}. {report['intended_use']}"


def _lungs(report: Mapping[str, Any]) -> Table:
    table = Table("lung", "grade", "share", "lesion ml", "lung ml", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for side in ("right", "left"):
        burden = report[side]
        table.add_row(
            side,
            report["assessment"][f"grade_{side}"],
            f"{burden['share']:.1%}",
            f"{burden['lesion_ml']:.1f}",
            f"{burden['lung_ml']:.0f}",
        )
    return table


def _findings(findings: list[Mapping[str, Any]]) -> Table:
    table = Table("#", "finding", "lung", "ml", "share", "mean HU", "slices", "score", box=None)
    for column in table.columns[3:]:
        column.justify = "right"
    for finding in findings[:MOST_FINDINGS]:
        table.add_row(
            str(finding["number"]),
            finding["label"],
            finding["lung"],
            f"{finding['volume_ml']:.1f}",
            f"{finding['lung_share']:.1%}",
            f"{finding['mean_hu']:.0f}",
            f"{finding['first_slice']}-{finding['last_slice']}",
            f"{finding['score']:.2f}",
        )
    if len(findings) > MOST_FINDINGS:
        table.add_row("", f"and {len(findings) - MOST_FINDINGS} more")
    return table


def _timings(report: Mapping[str, Any]) -> Table:
    table = Table("stage", "seconds", box=None)
    table.columns[1].justify = "right"
    # JSON columns of the database forget the order.
    for stage in Stage:
        if stage in report["timings_s"]:
            table.add_row(stage, f"{report['timings_s'][stage]:.2f}")
    count = len(report["slices"])
    table.add_row(f"a slice, of {count}", f"{report['seconds_per_slice']:.3f}", style="bold")
    return table
