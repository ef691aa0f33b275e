"""Which network a job runs by: any of the registry, and from then on that very version."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from api import create_app
from api.parts import EXTENSION
from db.session import Sessions
from db.tables import StudyRow
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.networks import add_version


@pytest.mark.parametrize("asked", ["resnet9000", "ward@9.9", "ward@", "../site/ward", "WARD"])
def test_network_that_is_not_there_is_refused_at_once_with_those_that_are(
    caller: Caller, archive: bytes, sessions: Sessions, asked: str
) -> None:
    answer = caller.send(archive, query={"network": asked})

    assert answer.refusal == (422, "unknown_network")
    assert asked in answer.json["detail"]
    assert "other@1.0.0, ward@1.0.0" in answer.json["detail"]
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(StudyRow)) == 0


def test_job_keeps_the_version_that_was_newest_when_it_was_sent(
    caller: Caller, archive: bytes, site: Path
) -> None:
    first = caller.send(archive).json
    add_version(site, "ward", "1.1.0")

    assert caller.get(first["links"]["self"]).json["network"] == "ward@1.0.0"


def test_newer_version_serves_the_next_job_without_a_restart(
    caller: Caller, archive: bytes, site: Path
) -> None:
    first = caller.send(archive).json
    add_version(site, "ward", "1.1.0")

    second = caller.send(archive, query={"network": "ward"}).json
    old = caller.send(archive, query={"network": "ward@1.0.0"}).json

    assert (first["network"], second["network"]) == ("ward@1.0.0", "ward@1.1.0")
    assert second["study_id"] == first["study_id"]
    assert second["id"] != first["id"]
    assert old["id"] == first["id"]


@pytest.mark.parametrize("query", [{}, {"network": "ward"}])
def test_idempotency_key_is_answered_with_its_job_though_a_newer_version_came(
    caller: Caller, archive: bytes, site: Path, query: dict[str, str]
) -> None:
    key = {"Idempotency-Key": "order-7"}
    first = caller.send(archive, headers=key, query=query)
    add_version(site, "ward", "1.1.0")

    again = caller.send(archive, headers=key, query=query)
    other = caller.send(archive, headers=key, query={"network": "ward@1.1.0"})

    assert again.json["id"] == first.json["id"]
    assert other.refusal == (422, "idempotency_conflict")


def test_idempotency_key_of_a_kept_study_outlives_a_newer_version_too(
    caller: Caller, finished: str, site: Path
) -> None:
    order = {"study_id": caller.get(f"/v1/jobs/{finished}").json["study_id"], "network": "other"}
    key = {"Idempotency-Key": "order-8"}
    first = caller.post_json("/v1/jobs", order, headers=key)
    add_version(site, "other", "1.1.0")

    again = caller.post_json("/v1/jobs", order, headers=key)

    assert again.json["id"] == first.json["id"]


def test_installation_without_its_usual_network_says_so_and_serves_the_others(
    settings: Settings, key: str, archive: bytes
) -> None:
    app = create_app(settings.model_copy(update={"network": "resnet9000"}))
    caller = Caller(app.test_client(), key)

    usual, named = caller.send(archive), caller.send(archive, query={"network": "other"})

    assert usual.refusal == (503, "missing_setting")
    assert "HILUM_NETWORK" in usual.json["detail"]
    assert named.status == 202
    app.extensions[EXTENSION].close()
