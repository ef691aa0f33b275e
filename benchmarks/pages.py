# SPDX-License-Identifier: Apache-2.0
"""Every page of the dashboard among 100,000 cases, as an admin of all hospitals opens it.

Milliseconds from the request to the last byte, without the network and without what the browser does
then. A page is written in full: its lists, its figures and its entry in the audit log.

    python -m benchmarks.pages [CASES]
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import joinedload

from api import create_app
from api.parts import EXTENSION
from benchmarks.cases import installation, shown, sign_in
from db.session import make_sessions
from db.tables import ReportRow, StudyRow
from hilum.catalogue import CT_LESIONS
from hilum.findings import Finding, LungBurden, NetworkUse, Report, SliceBurden
from hilum.grading import assess

TIMES: Final = 9
SLICES: Final = 600
"""Of the case that is opened: a thin series of a whole chest."""

FINDINGS: Final = 100

PAGES: Final = (
    "/cases",
    "/cases/rows",
    "/cases/{job}",
    "/send",
    "/queue",
    "/queue/live",
    "/insights",
    "/insights?days=7",
    "/insights?days=365",
    "/insights/speed?days=365",
    "/insights/waits?days=365",
    "/admin",
    "/admin/users",
    "/admin/keys",
    "/admin/destinations",
    "/admin/webhooks",
    "/admin/tenants",
    "/admin/thresholds",
    "/admin/networks",
    "/admin/retention",
    "/admin/audit",
    "/admin/health",
)


def main(cases: int) -> None:
    with installation(cases) as (settings, engine), ExitStack() as stack:
        job_id = have_a_long_report(engine)
        app = create_app(settings)
        stack.callback(app.extensions[EXTENSION].close)
        client = app.test_client()
        sign_in(make_sessions(engine), client)
        measured = {path: measure(client, path.format(job=job_id)) for path in PAGES}
    slowest = max(found["median_ms"] for found in measured.values())
    found: dict[str, Any] = {"benchmark": "pages", "cases": cases, "slowest_ms": slowest}
    print(json.dumps(found | {"each": measured}))


def have_a_long_report(engine: Engine) -> UUID:
    """Give the reports of one patient all that a long series leaves; return the job of one."""
    with make_sessions(engine).begin() as session:
        row = session.scalars(select(ReportRow).limit(1).options(joinedload(ReportRow.study))).one()
        of_patient = select(StudyRow.id).where(
            StudyRow.tenant_id == row.tenant_id, StudyRow.patient_id == row.study.patient_id
        )
        session.execute(
            update(ReportRow)
            .where(ReportRow.study_id.in_(of_patient))
            .values(document=a_report().to_json())
        )
        return row.job_id


def a_report() -> Report:
    """Return a report of many slices and findings."""
    lung = LungBurden(2000.0, 200.0, {"consolidation": 200.0})
    both = LungBurden(4000.0, 400.0, {"consolidation": 400.0})
    return Report(
        study_uid="1.2.3",
        series_uid="1.2.3.4",
        series_reason="It is the only CT series.",
        series_passed=(),
        pipeline=CT_LESIONS.name,
        pipeline_version=CT_LESIONS.version,
        code_version="0.1.0",
        network=NetworkUse("maskrcnn-resnet50", "4.0.0", "ab" * 32, 0.5, "cuda:0"),
        right=lung,
        left=lung,
        total=both,
        assessment=assess(share=0.1, share_right=0.1, share_left=0.1),
        findings=tuple(a_finding(number + 1) for number in range(FINDINGS)),
        slices=tuple(SliceBurden(z, f"1.2.3.4.{z}", 9000.0, 900.0) for z in range(SLICES)),
        spacing_mm=(0.6, 0.7, 0.7),
        warnings=(),
        timings_s={"reading": 1.0, "lungs": 2.0, "slices": 3.0, "measuring": 0.5, "writing": 1.0},
        intended_use=CT_LESIONS.intended_use,
    )


def a_finding(number: int) -> Finding:
    """Return one of many findings."""
    box = ((3, 10, 10), (6, 40, 40))
    return Finding(number, "consolidation", "right", 4.0, 0.001, -120.0, 3, 5, box, 0.9)


def measure(client: FlaskClient, address: str) -> Mapping[str, float]:
    """Return the median and the least of the milliseconds that a page takes, and its size."""
    shown(client, address)
    took = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        size = len(client.get(address).data)
        took.append(1000 * (time.perf_counter() - begun))
    return {
        "median_ms": round(statistics.median(took), 1),
        "least_ms": round(min(took), 1),
        "kib": round(size / 1024, 1),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
