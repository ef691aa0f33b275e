import json

import pytest

from cli.findings import MOST_FINDINGS, show_report
from hilum.phantom import make_phantom
from tests.analyses import analysis_of


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    document = analysis_of(make_phantom(slices=12, size_px=96)).report.to_json()
    # As it comes from a server.
    plain: dict[str, object] = json.loads(json.dumps(document))
    return plain


def test_a_report_tells_verdict_lungs_findings_and_timings(
    report: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    show_report(report)

    shown = capsys.readouterr().out
    assert shown.startswith("Mild  CT-1  ")
    for word in ("right", "left", "ground-glass opacity", "reading", "slices", "a slice, of 12"):
        assert word in shown
    assert shown.index("reading") < shown.index("a slice")
    assert "truth 0 on cpu. For research. Not a medical device; not for diagnosis." in shown


def test_a_long_list_of_findings_is_counted(
    report: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    findings = report["findings"]
    assert isinstance(findings, list)
    many = [*findings] * 10

    show_report(report | {"findings": many})

    assert f"and {len(many) - MOST_FINDINGS} more" in capsys.readouterr().out


def test_reasons_for_review_are_told_in_full(
    report: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assessment = report["assessment"]
    assert isinstance(assessment, dict)
    doubt = (
        "The left lung has 120 ml, expected 300 to 5000 ml; the mask may have lost a part of it."
    )

    show_report(report | {"assessment": assessment | {"review": (doubt,)}})

    assert f"Review: {doubt}" in capsys.readouterr().out
