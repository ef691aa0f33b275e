"""`hilum jobs`, `hilum send` of several studies, and quotas, as a person would type them."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from cli import client as client_module
from cli import jobs as jobs_module
from cli.main import hilum
from db.changes import cancel_job
from db.claims import claim_job, fail_job, finish_job
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import Quota, quota_of
from hilum.jobs import State
from hilum.phantom import make_phantom
from hilum.settings import Settings
from tests.cli.conftest import Server
from tests.db.factories import claim, make_report, queue_job

Command = Callable[..., Result]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `hilum` with the settings of the test in an empty folder; nobody answers questions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(jobs_module, "AT_ONCE", 2)
    for name in ("database_url", "redis_url", "storage_url", "secret_key", "spool_dir"):
        monkeypatch.setenv(f"HILUM_{name.upper()}", str(getattr(settings, name)))
    return lambda *arguments, say="": CliRunner().invoke(
        hilum, [str(each) for each in arguments], input=say
    )


@pytest.fixture
def remote(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same, with a server to talk to."""
    monkeypatch.setenv("HILUM_API_URL", server.url)
    monkeypatch.setenv("HILUM_API_KEY", server.key)
    return command


@pytest.fixture
def failed(sessions: Sessions, tenant: TenantRow) -> list[str]:
    """Three jobs that lost their workers, and one that failed for another reason, the last."""
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(4)]
        for job, code in zip(jobs, ["worker_lost"] * 3 + ["not_axial"], strict=True):
            fail_job(session, claim(session, job), code, "No.")
    return [str(job.id) for job in jobs]


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two chests as folders."""
    folders = [tmp_path_factory.mktemp("study") for _ in range(2)]
    for seed, folder in enumerate(folders):
        make_phantom(slices=12, size_px=96, lesions=(), seed=seed).write_dicom(folder)
    return folders


def states(sessions: Sessions, ids: list[str]) -> list[State]:
    with sessions.begin() as session:
        return [session.get_one(JobRow, UUID(job_id)).state for job_id in ids]


def test_jobs_are_named_by_their_ids(
    remote: Command, failed: list[str], sessions: Sessions
) -> None:
    retried = remote("jobs", "retry", *failed[:3])
    urgent = remote("jobs", "prioritise", failed[0], "--as", "stat")
    cancelled = remote("jobs", "cancel", failed[1], "--json")

    assert retried.exit_code == 0, retried.output
    assert retried.stdout.split() == failed[:3]
    assert "Retry: 3 done, 0 refused." in retried.stderr
    assert urgent.exit_code == 0, urgent.output
    assert json.loads(cancelled.stdout) == {"done": [failed[1]], "made": [], "refused": []}
    assert states(sessions, failed) == ["queued", "cancelled", "queued", "failed"]


def test_everything_that_failed_for_one_reason_is_tried_again_once_one_says_yes(
    remote: Command, failed: list[str], sessions: Sessions
) -> None:
    chosen = ("jobs", "retry", "--state", "failed", "--code", "worker_lost")

    no = remote(*chosen, say="n\n")
    untouched = states(sessions, failed)
    yes = remote(*chosen, say="y\n")
    none = remote(*chosen)

    assert (no.exit_code, untouched) == (1, ["failed"] * 4)
    assert "Retry 3 jobs?" in no.stderr
    assert yes.exit_code == 0, yes.output
    assert "1 are left." in yes.stderr
    assert states(sessions, failed) == ["queued", "queued", "queued", "failed"]
    assert (none.exit_code, none.stdout) == (0, "")


def test_nobody_is_asked_who_says_yes_beforehand(
    remote: Command, failed: list[str], sessions: Sessions
) -> None:
    result = remote("jobs", "rerun", "--code", "not_axial", "--with", "resnet101", "--yes")

    [made] = result.stdout.split()
    assert result.exit_code == 0, result.output
    assert made not in failed
    assert states(sessions, [made]) == [State.QUEUED]


def test_refusals_are_listed_and_end_in_failure(remote: Command, failed: list[str]) -> None:
    result = remote("jobs", "regrade", *failed[:1])

    assert result.exit_code == 1
    assert all(each in result.stdout for each in (failed[0], "unknown_report"))
    assert "1 of 1 jobs were refused" in result.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("x", "--state", "failed"), ("--state", "sleeping"), ("--colour", "red")]
)
def test_jobs_are_chosen_in_one_way(remote: Command, arguments: tuple[str, ...]) -> None:
    assert remote("jobs", "cancel", *arguments).exit_code == 2


def test_several_studies_are_sent_as_one_batch(
    remote: Command, studies: list[Path], tmp_path: Path
) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "letter.txt").write_text("Dear colleague")

    sent = remote("send", *studies, letters, "--no-wait", "--label", "ward 7")
    batch_id = sent.stdout.strip()
    shown = remote("status", "--batch", batch_id)
    document = json.loads(remote("status", "--batch", batch_id, "--json").stdout)

    assert sent.exit_code == 1
    assert "1 of 3 studies were refused." in sent.stderr
    assert "[no_dicom]" in sent.stderr
    assert "0% of 2 jobs: 2 queued" in shown.stdout
    assert (document["label"], document["total"], document["open"]) == ("ward 7", 2, False)


def test_batch_is_followed_until_every_job_has_ended(
    remote: Command,
    studies: list[Path],
    sessions: Sessions,
    tenant: TenantRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work(_: float) -> None:
        """Do the jobs while the command waits."""
        with sessions.begin() as session:
            first, *others = session.query(JobRow).order_by(JobRow.created_at)
            held = claim_job(session, first.id, worker="w", lease_s=60, max_attempts=3)
            if held is not None:
                finish_job(session, held, make_report(), [])
            for job in others:
                cancel_job(session, tenant.id, job.id)

    monkeypatch.setattr(client_module.time, "sleep", work)

    result = remote("send", *studies)

    assert result.exit_code == 1
    assert "0% of 2 jobs: 2 queued" in result.stderr
    assert "100% of 2 jobs: 1 succeeded, 1 cancelled" in result.stderr
    assert "1 of 2 jobs of batch" in result.stderr
    assert result.stdout.count("resnet50@") == 2


def test_one_key_is_not_for_several_studies(remote: Command, studies: list[Path]) -> None:
    assert remote("send", *studies, "--idempotency-key", "K1").exit_code == 2


def test_quota_is_set_shown_and_taken_away(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    before = command("tenants", "list")
    command("tenants", "quota", tenant.name, "--jobs", "500", "--mb", "1000")
    more = command("tenants", "quota", tenant.name, "--requests", "600", "--mb", "0")
    listed = command("tenants", "list")

    with sessions.begin() as session:
        assert quota_of(session, tenant.id) == Quota(jobs=500, requests=600)
    assert "anything" in before.stdout
    assert "500 jobs, 600 requests a minute" in more.stderr
    assert "500 jobs, 600 requests a minute" in listed.stdout


def test_quota_is_of_a_hospital_that_there_is(command: Command, sessions: Sessions) -> None:
    result = command("tenants", "quota", "nowhere", "--jobs", "1")

    assert (result.exit_code, "There is no tenant 'nowhere'" in result.stderr) == (1, True)
    assert sessions
