import re

import pytest
from sqlalchemy import text

from api import create_app
from api.parts import EXTENSION
from db.pauses import pause_queue
from db.session import Sessions
from db.tables import TenantRow
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.db.factories import queue_job
from tests.db.test_queue import let_time_pass


def test_live_process_says_so_without_asking_anybody(settings: Settings) -> None:
    lost = settings.model_copy(
        update={"database_url": "postgresql://127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1"}
    )
    app = create_app(lost)

    answer = Caller(app.test_client(), None).get("/health/live")

    assert (answer.status, answer.json["status"]) == (200, "ok")
    app.extensions[EXTENSION].close()


def test_ready_server_says_so(anyone: Caller) -> None:
    answer = anyone.get("/health/ready")

    assert (answer.status, answer.json["status"]) == (200, "ok")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"database_url": "postgresql://127.0.0.1:1/x"}, "database"),
        ({"redis_url": "redis://127.0.0.1:1/0"}, "queue"),
        ({"min_free_mb": 10**9}, "disk"),
        ({"network": "resnet9000"}, "network"),
    ],
)
def test_server_without_one_of_its_parts_is_not_ready_and_names_it(
    settings: Settings, change: dict[str, object], part: str
) -> None:
    app = create_app(settings.model_copy(update=change))

    answer = Caller(app.test_client(), None).get("/health/ready")

    assert answer.refusal == (503, "not_ready")
    assert list(answer.json["errors"]) == [part]
    assert part in answer.json["detail"]
    app.extensions[EXTENSION].close()


def test_server_whose_jobs_nobody_takes_is_not_ready_and_says_for_how_long(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, 90)

    ready, live = anyone.get("/health/ready"), anyone.get("/health/live")

    assert ready.refusal == (503, "not_ready")
    assert list(ready.json["errors"]) == ["workers"]
    assert re.search(r"taken \d+ s ago, expected at most 60 s: none was taken ever", ready.text)
    assert live.status == 200


def test_server_whose_queue_a_person_has_paused_is_ready_and_says_so(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, 90)
        pause_queue(session, None, by="user ada", reason="The power is cut.")

    answer = anyone.get("/health/ready")

    assert (answer.status, answer.json["paused"]) == (200, True)
    assert "power" not in answer.text


def test_server_waits_as_long_for_its_workers_as_its_settings_say(
    settings: Settings, sessions: Sessions, tenant: TenantRow
) -> None:
    app = create_app(settings.model_copy(update={"stall_s": 120.0}))
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, 90)

    answer = Caller(app.test_client(), None).get("/health/ready")

    assert answer.status == 200
    app.extensions[EXTENSION].close()


def test_server_on_an_old_schema_is_not_ready(anyone: Caller, sessions: Sessions) -> None:
    with sessions.begin() as session:
        [revision] = session.execute(text("SELECT version_num FROM alembic_version")).one()
        session.execute(text("UPDATE alembic_version SET version_num = 'old'"))

    try:
        answer = anyone.get("/health/ready")
    finally:
        with sessions.begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})

    assert answer.refusal == (503, "not_ready")
    assert "hilum migrate" in answer.json["detail"]
