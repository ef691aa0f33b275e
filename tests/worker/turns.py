"""Jobs run in this process, without a message and whosever turn it is."""

from uuid import UUID

from db.claims import Claim, claim_job
from worker.bench import Bench
from worker.run import run


def run_now(job_id: UUID, bench: Bench) -> Claim | None:
    """Take one job and run it; None where it is not to be taken."""
    with bench.sessions.begin() as session:
        claim = claim_job(
            session,
            job_id,
            worker="here",
            lease_s=bench.settings.lease_s,
            max_attempts=bench.settings.max_attempts,
        )
    if claim is not None:
        run(claim, bench)
    return claim
