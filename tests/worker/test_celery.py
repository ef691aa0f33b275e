import subprocess
import sys
from typing import Any

import pytest

from hilum.errors import ConfigurationError
from hilum.jobs import QUEUE
from hilum.settings import Settings
from tests.worker.processes import ROOT, environment
from worker.celery import GRACE_S, make_app, visibility_timeouts


def test_visibility_timeout_is_the_same_in_all_three_places(settings: Settings) -> None:
    found = visibility_timeouts(make_app(settings))

    assert found == dict.fromkeys(
        ("broker_transport_options", "result_backend_transport_options", "visibility_timeout"),
        settings.visibility_timeout_s,
    )


@pytest.mark.parametrize("margin_s", [-100, 0])
def test_worker_refuses_to_start_where_running_jobs_would_be_handed_out_again(
    margin_s: int, settings: Settings
) -> None:
    limit_s = settings.task_time_limit_s + 2 * GRACE_S
    short = settings.model_copy(update={"visibility_timeout_s": limit_s + margin_s})

    with pytest.raises(ConfigurationError, match=f"expected more than {limit_s} s"):
        make_app(short)


def test_there_is_one_queue_for_the_order_is_the_databases(settings: Settings) -> None:
    assert list(make_app(settings).amqp.queues) == [QUEUE]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", False),
        ("worker_disable_prefetch", True),
        ("worker_prefetch_multiplier", 1),
        ("task_ignore_result", True),
        ("accept_content", ["json"]),
        ("worker_pool", "prefork"),
        ("worker_concurrency", 1),
    ],
)
def test_setting_that_guards_against_a_known_loss_is_kept(
    name: str, value: Any, settings: Settings
) -> None:
    assert make_app(settings).conf[name] == value


def test_limits_of_celery_come_after_those_of_the_job_and_of_its_grace(settings: Settings) -> None:
    conf = make_app(settings).conf

    assert conf.task_soft_time_limit == settings.task_time_limit_s + GRACE_S
    assert conf.task_time_limit - conf.task_soft_time_limit == GRACE_S


def printed(program: str, settings: Settings) -> str:
    """Return what a program prints; it must not fail."""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_upkeep_and_application_load_no_networks(settings: Settings) -> None:
    program = "import sys, cli.beat; print('torch' in sys.modules)"

    assert printed(program, settings) == "False\n"


def test_parent_of_the_computing_process_asks_nothing_of_cuda(settings: Settings) -> None:
    # Whoever asks before the fork breaks CUDA in every child, by so little as `is_available`.
    program = (
        "import sys, torch\n"
        "def asked(*_): sys.exit('The parent asked.')\n"
        "torch.cuda.is_available = torch.cuda.device_count = torch.cuda._lazy_init = asked\n"
        "import worker.app\n"
        "print(torch.cuda.is_initialized())"
    )

    assert printed(program, settings) == "False\n"
