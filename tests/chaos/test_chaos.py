from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.run import run_chaos

JOBS = 30


@pytest.mark.timeout(900)
def test_no_job_is_lost_or_doubled_whatever_breaks(tmp_path: Path) -> None:
    outcome = run_chaos(tmp_path, jobs=JOBS, faults=len(FAULTS), seed=1, say=print)

    assert outcome.breaches == []
    assert outcome.jobs == outcome.tally["jobs"] == JOBS
    assert outcome.tally["states"]["succeeded"] > JOBS / 2
    assert outcome.faults == len(FAULTS)
    assert outcome.tally["attempts"] > JOBS
