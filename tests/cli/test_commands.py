"""The commands that talk to a server or to the database, as a person would type them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from db.session import Sessions
from db.tables import AuditRow, TenantRow, WebhookRow
from db.tenants import list_keys, policy_of, tenant_of_key
from db.titles import list_titles
from db.webhooks import add_webhook, change_webhook
from db.workers import Load, Work, heartbeat
from hilum.dicom.deidentify import Option, Policy
from hilum.workers import WorkerState
from tests.api.push.archives import Service
from tests.api.push.receivers import Receiver, signature_by_openssl
from tests.cli.conftest import Command, Server
from tests.db.factories import finished_job, queue_job
from tests.db.test_workers import make_worker


@pytest.fixture
def remote(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same, with a server to talk to."""
    monkeypatch.setenv("HILUM_API_URL", server.url)
    monkeypatch.setenv("HILUM_API_KEY", server.key)
    return command


def test_workers_are_listed_with_what_they_run(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    busy, idle = make_worker("ward-3:17"), make_worker("ward-4:9")
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        load = Load(["resnet50@4.0.0"], 3 * 2**30, 2**33, 2**35, 0.5)
        heartbeat(session, busy, Work(WorkerState.BUSY, job.id, 2), load)
        heartbeat(session, replace(idle, device="cpu", gpu=None), Work(), Load())

    listed = command("workers", "list")
    printed = json.loads(command("workers", "list", "--json").stdout)

    assert listed.exit_code == 0, listed.output
    for word in (str(job.id), "busy", "resnet50@4.0.0", "3.0 GiB", "8.0 GiB of 32.0 GiB", "idle"):
        assert word in listed.stdout
    assert [worker["name"] for worker in printed] == ["ward-3:17", "ward-4:9"]
    assert [worker["job_id"] for worker in printed] == [str(job.id), None]
    assert printed[0]["gpu_utilisation"] == pytest.approx(0.5)


def test_queue_is_paused_shown_and_resumed_and_each_is_in_the_audit_log(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)

    paused = [
        command("queue", "pause", "--tenant", tenant.name, "--reason", "CT is moved.")
        for _ in range(2)
    ]
    shown, document = command("queue", "show"), command("queue", "show", "--json")
    resumed = [command("queue", "resume", "--tenant", tenant.name) for _ in range(2)]

    said = [one.stderr.strip() for one in (*paused, *resumed)]
    name = f"The queue of {tenant.name}"
    assert said == [
        f"{name} is paused.",
        f"{name} was already paused.",
        f"{name} goes on.",
        f"{name} was not paused.",
    ]
    assert "CT is moved." in shown.stdout
    found = json.loads(document.stdout)
    assert [(one["tenant"], one["reason"]) for one in found["pauses"]] == [
        (tenant.name, "CT is moved.")
    ]
    [line] = found["waiting"]
    assert (line["tenant"], line["jobs"], line["paused"]) == (tenant.name, 1, True)
    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert [(row.action, row.tenant_id) for row in rows] == [
        ("queue.paused", tenant.id),
        ("queue.resumed", tenant.id),
    ]
    assert all(row.by.startswith("command ") for row in rows)


@pytest.mark.usefixtures("sessions")
def test_whole_queue_is_paused_for_a_reason(command: Command) -> None:
    without = command("queue", "pause")
    paused = command("queue", "pause", "--reason", "Power cut.")

    assert without.exit_code == 2
    assert paused.stderr.strip() == "The queue is paused."
    assert "Power cut." in command("queue", "show").stdout


def test_worker_is_drained_and_resumed_by_name(command: Command, sessions: Sessions) -> None:
    with sessions.begin() as session:
        heartbeat(session, make_worker("ward-3:17"), Work(), Load())

    drained, listed = command("workers", "drain", "ward-3:17"), command("workers", "list")
    resumed, unknown = (command("workers", "resume", name) for name in ("ward-3:17", "who:1"))

    assert drained.stderr.strip() == "ward-3:17 takes no more jobs."
    assert "drained" in listed.stdout
    assert resumed.stderr.strip() == "ward-3:17 takes jobs again."
    assert (unknown.exit_code, "[unknown_worker]" in unknown.stderr) == (1, True)
    with sessions.begin() as session:
        rows = session.execute(select(AuditRow.action, AuditRow.subject).order_by(AuditRow.id))
    assert rows.all() == [
        ("queue.worker_drained", "ward-3:17"),
        ("queue.worker_released", "ward-3:17"),
    ]


@pytest.mark.usefixtures("sessions")
def test_a_hospital_is_added_and_listed(command: Command) -> None:
    added = command("tenants", "add", "St Example")
    listed = command("tenants", "list")

    assert added.exit_code == 0, added.output
    assert "St Example" in listed.stdout


def test_a_hospital_says_how_its_studies_are_deidentified(
    command: Command, sessions: Sessions, tenant: TenantRow, tmp_path: Path
) -> None:
    def policy() -> Policy | None:
        with sessions.begin() as session:
            return policy_of(session, tenant.id)

    for_export = command("tenants", "deidentify", tenant.name, "--retain", "patient")
    made = policy()
    with_key = command("tenants", "deidentify", tenant.name, "--on-arrival", "--key", "key")
    kept = command("tenants", "deidentify", tenant.name, "--on-arrival", "--dates", "removed")
    again = policy()
    listed = command("tenants", "list")

    assert "where a destination asks for it" in for_export.stderr
    assert made is not None
    assert made.options == {Option.RETAIN_PATIENT, Option.RETAIN_MODIFIED_DATES}
    assert "before it is stored" in with_key.stderr
    assert again == Policy((tmp_path / "key").read_text().strip(), frozenset(), on_arrival=True)
    assert made.key not in "".join(one.output for one in (for_export, with_key, kept, listed))
    assert "before it is stored" in listed.stdout


def test_a_key_that_could_be_tried_is_refused(
    command: Command, tenant: TenantRow, tmp_path: Path
) -> None:
    (tmp_path / "short").write_text("short")
    (tmp_path / "bytes").write_bytes(bytes(range(128, 192)))

    short, not_text = (
        command("tenants", "deidentify", tenant.name, "--key", key) for key in ("short", "bytes")
    )

    assert (short.exit_code, not_text.exit_code) == (2, 1)
    assert "[missing_setting]" in short.stderr
    assert "The key is no ASCII text" in not_text.stderr


def test_a_taken_name_is_refused(command: Command, tenant: TenantRow) -> None:
    result = command("tenants", "add", tenant.name)

    assert result.exit_code == 1
    assert f"There is a tenant '{tenant.name}' already" in result.stderr


def test_a_title_is_added_listed_and_removed(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    added = command("titles", "add", "HILUM_CT", tenant.name, "--priority", "stat", "--calling=CT1")
    listed = command("titles", "list")
    removed = command("titles", "remove", "HILUM_CT")
    again = command("titles", "remove", "HILUM_CT")

    assert added.exit_code == 0, added.output
    assert all(each in listed.stdout for each in ("HILUM_CT", tenant.name, "priority=stat", "CT1"))
    assert removed.exit_code == 0
    assert again.exit_code == 1
    with sessions.begin() as session:
        assert list_titles(session) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("HILUM_CT", "nowhere"), "There is no tenant 'nowhere'"),
        (("A" * 17, "st-vincent"), "expected 1 to 16 printable ASCII characters"),
        (("A\\B", "st-vincent"), "expected 1 to 16 printable ASCII characters"),
        (("HILUM_CT", "st-vincent", "--network", "resnet9000"), "unknown_network"),
        (("HILUM_CT", "st-vincent", "--callback-url", "http://127.0.0.1/"), "unsafe_callback"),
    ],
)
@pytest.mark.usefixtures("tenant")
def test_a_title_that_could_not_work_is_refused(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    result = command("titles", "add", *arguments)

    assert result.exit_code == 1
    assert said in result.stderr


def test_a_taken_title_is_refused(command: Command, tenant: TenantRow) -> None:
    command("titles", "add", "HILUM_CT", tenant.name)

    result = command("titles", "add", "HILUM_CT", tenant.name)

    assert result.exit_code == 1
    assert "HILUM_CT is taken already" in result.stderr


def test_a_destination_is_added_tried_listed_and_removed(
    command: Command, tenant: TenantRow, tmp_path: Path
) -> None:
    secret = tmp_path / "authorization"
    secret.write_text("Bearer secret\n")
    with Service(200, b"[]").running() as url:
        added = command(
            *("destinations", "add", "cloud", tenant.name, "--stow", url),
            *("--authorization", str(secret), "--send", "segmentation"),
        )
        tried = command("destinations", "try", "cloud", tenant.name)
    listed = command("destinations", "list")
    away = command("destinations", "try", "cloud", tenant.name)
    removed = command("destinations", "remove", "cloud", tenant.name)
    again = command("destinations", "remove", "cloud", tenant.name)

    assert added.exit_code == 0, added.output
    assert f"{url} answers" in tried.stderr
    assert all(each in listed.stdout for each in (tenant.name, "cloud", url, "segmentation"))
    assert "secret" not in "".join(one.output for one in (added, tried, listed, away))
    assert (away.exit_code, removed.exit_code, again.exit_code) == (1, 0, 1)
    assert "[undelivered]" in away.stderr
    assert "[unknown_destination]" in again.stderr


def test_an_archive_of_dicom_is_named_by_title_host_and_port(
    command: Command, tenant: TenantRow
) -> None:
    command("destinations", "add", "pacs", tenant.name, "--dimse", "PACS@localhost:104", "--tls")

    listed = command("destinations", "list")
    retried = command("destinations", "retry", "pacs", tenant.name)

    assert "PACS@localhost:104 by TLS" in listed.stdout
    assert "segmentation measurements key-image document" in listed.stdout
    assert "0 studies are on their way to pacs again" in retried.stderr


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ((), 2, "Give one of --dimse and --stow"),
        (("--dimse", "PACS@a:104", "--stow", "https://a"), 2, "Give one of --dimse and --stow"),
        (("--dimse", "a:104"), 1, "expected TITLE@host:port"),
        (("--stow", "a/dicom-web"), 1, "expected http:// or https://"),
        (("--stow", "https://a", "--send", "diagnosis"), 2, "'diagnosis' is not one of"),
    ],
)
def test_what_is_no_destination_is_refused(
    command: Command, options: tuple[str, ...], status: int, said: str, tenant: TenantRow
) -> None:
    result = command("destinations", "add", "pacs", tenant.name, *options)

    assert result.exit_code == status
    assert said in result.stderr


def test_a_webhook_is_added_tested_listed_and_removed(
    command: Command, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_CALLBACK_PRIVATE", "true")
    receiver = Receiver([200, 503])
    with receiver.running() as url:
        added = command(
            "webhooks", "add", tenant.name, url, "--events", "job.failed, job.cancelled"
        )
        listed = command("webhooks", "list")
        webhook = next(line for line in listed.stdout.splitlines() if "127.0.0.1" in line).split()[
            0
        ]
        good, bad = command("webhooks", "test", webhook), command("webhooks", "test", webhook)
    rotated = command("webhooks", "rotate", webhook)
    removed, again = (command("webhooks", "remove", webhook) for _ in range(2))

    assert added.exit_code == 0, added.output
    [call, _] = receiver.calls
    assert call.signatures == [signature_by_openssl(call, added.stdout.strip())]
    assert all(one in listed.stdout for one in (tenant.name, "job.failed", "callback_url of jobs"))
    assert not [word for word in ("/hook", "token=t", "whsec_") if word in listed.output]
    assert "127.0.0.1 answered 200" in good.stderr
    assert (bad.exit_code, "[undelivered]" in bad.stderr) == (1, True)
    assert rotated.stdout.startswith("whsec_")
    assert rotated.stdout != added.stdout
    assert (removed.exit_code, again.exit_code) == (0, 1)
    assert "[unknown_webhook]" in again.stderr


def test_what_a_webhook_was_told_is_listed_and_sent_again(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        webhook = add_webhook(session, tenant.id, "https://example.org/hook")
    with sessions.begin() as session:
        job = finished_job(session, tenant.id)
        session.execute(text("UPDATE notices SET state = 'failed', status = 500"))
        change_webhook(session.get_one(WebhookRow, webhook.id), enabled=False)

    failed = command("webhooks", "log", webhook.id)
    retried = command("webhooks", "retry", webhook.id)
    waiting = command("webhooks", "log", webhook.id, "--limit", 1)

    assert all(one in failed.stdout for one in (str(job.id), "job.succeeded", "failed", "500"))
    assert "1 notices are on their way to example.org again" in retried.stderr
    assert "waiting" in waiting.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nowhere", "https://93.184.216.34/"), 1, "There is no tenant 'nowhere'"),
        (("st-vincent", "http://127.0.0.1/"), 1, "[unsafe_callback]"),
        (("st-vincent", "https://93.184.216.34/", "--events", "job.done"), 1, "found job.done"),
    ],
)
@pytest.mark.usefixtures("tenant")
def test_what_is_no_webhook_is_refused(
    command: Command, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = command("webhooks", "add", *arguments)

    assert result.exit_code == status
    assert said in result.stderr


def test_a_new_key_is_all_that_standard_output_gets_and_it_works(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    result = command("keys", "new", tenant.name, "--label", "pacs")

    with sessions.begin() as session:
        found = tenant_of_key(session, result.stdout.strip())
        assert found is not None
        assert found.id == tenant.id


def test_a_revoked_key_no_longer_works(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    key = command("keys", "new", tenant.name, "--label", "pacs").stdout.strip()

    revoked = command("keys", "revoke", tenant.name, "--label", "pacs")
    again = command("keys", "revoke", tenant.name, "--label", "pacs")

    assert revoked.exit_code == 0
    assert again.exit_code == 1
    with sessions.begin() as session:
        assert tenant_of_key(session, key) is None
        assert [row.label for row in list_keys(session, tenant.name)] == ["pacs"]
    assert "pacs" in command("keys", "list", tenant.name).stdout


def test_a_study_is_sent_and_its_job_looked_up(remote: Command, small_study: Path) -> None:
    sent = remote("send", small_study, "--no-wait", "--priority", "bulk")
    job_id = sent.stdout.strip()

    shown = remote("status", job_id)
    listed = remote("status", "--json")

    assert sent.exit_code == 0, sent.output
    assert job_id in shown.stdout
    assert "next" in shown.stdout
    assert [job["id"] for job in json.loads(listed.stdout)["items"]] == [job_id]


def test_a_report_that_is_not_ready_is_a_failure_with_a_code(
    remote: Command, small_study: Path
) -> None:
    job_id = remote("send", small_study, "--no-wait").stdout.strip()

    result = remote("report", job_id)

    assert result.exit_code == 1
    assert "[report_not_ready]" in result.stderr


def test_without_a_key_the_commands_say_where_to_get_one(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HILUM_API_KEY", raising=False)

    result = command("status")

    assert result.exit_code == 2
    assert "hilum keys new" in result.stderr


def test_the_local_systems_key_is_not_told_to_another_server(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HILUM_API_KEY", raising=False)
    (tmp_path / ".hilum").mkdir()
    (tmp_path / ".hilum" / "key").write_text("hilum_local\n")
    (tmp_path / ".hilum" / "url").write_text("http://127.0.0.1:8080\n")

    result = command("status", "--url", "https://elsewhere.example")

    assert result.exit_code == 2
    assert "HILUM_API_KEY is not set" in result.stderr


@pytest.mark.usefixtures("sessions")
def test_regrading_an_empty_archive_changes_nothing(command: Command) -> None:
    result = command("regrade", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "0 reports would be graded" in result.stderr


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "look at: version"),
        ("nonsense", "holds no thresholds"),
    ],
)
def test_thresholds_of_a_file_must_be_complete(
    command: Command, tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(text)

    result = command("regrade", "--thresholds", path)

    assert result.exit_code == 1
    assert sentence in result.stderr


def test_migrating_twice_does_no_harm(command: Command) -> None:
    assert command("migrate").exit_code == 0
    assert "revision" in command("migrate").stderr


def test_the_description_of_the_api_is_printed(command: Command) -> None:
    document = json.loads(command("openapi").stdout)

    assert "/v1/studies" in document["paths"]


def test_a_database_that_is_away_is_one_line_without_its_password(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_DATABASE_URL", "postgresql://hilum:geheim@127.0.0.1:9/hilum")

    for arguments in (["tenants", "list"], ["migrate"]):
        result = command(*arguments)

        assert result.exit_code == 1
        assert "[database_unavailable]" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "geheim" not in result.stderr
