# SPDX-License-Identifier: Apache-2.0
"""How an attempt ends: each kind of exception has its line in the job's row."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import InterfaceError, OperationalError

from db.attempts import Crash
from db.claims import (
    Claim,
    cancel_running,
    fail_job,
    give_back,
    hand_back,
    wait_for_network,
)
from hilum.errors import HilumError, NetworkAbsent, TransientError
from hilum.frames import frames_of_thread
from hilum.jobs import JobStopped
from hilum.logs import describe_crash
from worker.bench import Bench
from worker.deadline import time_limit_s

TIME_LIMIT = "time_limit"
"""Error code of a job that ran longer than it may."""

INTERNAL_ERROR = "internal_error"
"""Error code of a job that met a fault of ours."""

RETRY_WAIT_S = 10.0
"""Before the second attempt after a passing trouble; four times as long before each further one."""

JITTER = 0.25
"""Share of a wait by which it is longer or shorter."""

NETWORK_WAIT_S = 30.0
"""Before a job is offered again whose network a worker lacked."""

NETWORK_LIMIT_S = 3600.0
"""A network that nobody has had for so long is not on its way."""

PASSING = (TransientError, OperationalError, InterfaceError, OSError)
"""The disk, the network, the database: the same job may succeed later."""

log = structlog.get_logger(__name__)


@contextmanager
def outcome_recorded(claim: Claim, bench: Bench) -> Iterator[None]:
    """Run an attempt in a `with` block; however it breaks off, the job's row says so."""
    try:
        yield
    except JobStopped as stop:
        _stop(claim, bench, str(stop))
    except SoftTimeLimitExceeded as error:
        fail_at_limit(claim, bench, describe_crash(error))
    except NetworkAbsent as error:
        _wait_for_network(claim, bench, error.message)
    except PASSING as error:
        reason = error.message if isinstance(error, HilumError) else type(error).__name__
        _give_back(claim, bench, reason, describe_crash(error))
    except HilumError as error:
        _fail(claim, bench, error.code, error.message, describe_crash(error))
    except Exception as error:  # noqa: BLE001 - last line of defence, the job row records it
        crash = describe_crash(error)
        log.error("job.crashed", **crash)  # noqa: TRY400 - its message may quote a header
        message = f"The analysis broke off with {type(error).__name__}; the log has the place."
        _fail(claim, bench, INTERNAL_ERROR, message, crash)
    except BaseException:
        # The process is being stopped: nobody need wait for the lease to run out.
        _hand_back(claim, bench, "The worker was stopped.")
        raise


def fail_at_limit(claim: Claim, bench: Bench, crash: Crash) -> None:
    """End a job that ran longer than it may; `crash` says where it was."""
    limit_s = time_limit_s(claim.pipeline, bench.settings)
    message = f"The job ran longer than {limit_s} s and was stopped."
    _fail(claim, bench, TIME_LIMIT, message, crash)


def fail_deaf(claim: Claim, bench: Bench, thread: int) -> None:
    """End a job that went on after it was told to end; its process is about to be killed."""
    where = frames_of_thread(thread)
    told = {"error": SoftTimeLimitExceeded.__name__, "frames": where, "causes": []}
    fail_at_limit(claim, bench, told)


def _pause_s(attempt: int) -> float:
    # What failed together must not come back together.
    return RETRY_WAIT_S * 4.0 ** (attempt - 1) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret


def _stop(claim: Claim, bench: Bench, reason: str) -> None:
    with bench.sessions.begin() as session:
        cancelled = cancel_running(session, claim)
    log.info("job.stopped", reason=reason, cancelled=cancelled)


def _fail(claim: Claim, bench: Bench, code: str, message: str, crash: Crash) -> None:
    with bench.sessions.begin() as session:
        failed = fail_job(session, claim, code, message, crash=crash)
    log.warning("job.failed", code=code, message=message, recorded=failed)


def _wait_for_network(claim: Claim, bench: Bench, reason: str) -> None:
    with bench.sessions.begin() as session:
        given = wait_for_network(
            session, claim, reason, limit_s=NETWORK_LIMIT_S, wait_s=NETWORK_WAIT_S
        )
    log.warning("job.network_absent", reason=reason, recorded=given)


def _hand_back(claim: Claim, bench: Bench, reason: str) -> None:
    with bench.sessions.begin() as session:
        given = hand_back(session, claim, reason)
    log.warning("job.handed_back", reason=reason, recorded=given)


def _give_back(claim: Claim, bench: Bench, reason: str, crash: Crash) -> None:
    most, wait_s = bench.settings.max_attempts, _pause_s(claim.attempt)
    with bench.sessions.begin() as session:
        given = give_back(session, claim, reason, max_attempts=most, wait_s=wait_s, crash=crash)
    log.warning("job.given_back", reason=reason, recorded=given)
