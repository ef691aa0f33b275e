"""Which network a job runs by: any of the registry, and from then on that very version."""

from collections.abc import Iterator
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


@pytest.fixture
def elsewhere(settings: Settings, key: str) -> Iterator[Caller]:
    """The same hospital where the usual network is another, which is not there."""
    app = create_app(settings.model_copy(update={"network": "resnet9000"}))
    yield Caller(app.test_client(), key)
    app.extensions[EXTENSION].close()


def test_installation_without_its_usual_network_says_so_and_serves_the_others(
    elsewhere: Caller, archive: bytes
) -> None:
    usual = [elsewhere.send(archive), elsewhere.send_form({"a.zip": archive})]
    named = [
        elsewhere.send(archive, query={"network": "other"}),
        elsewhere.send_form({"a.zip": archive}, fields={"network": "other"}),
    ]

    assert {answer.refusal for answer in usual} == {(503, "missing_setting")}
    assert all("HILUM_NETWORK" in answer.json["detail"] for answer in usual)
    assert [answer.status for answer in named] == [202, 202]
    assert named[0].json["id"] == named[1].json["id"]


def test_form_that_names_a_network_that_is_not_there_stores_nothing(
    caller: Caller, archive: bytes, sessions: Sessions, settings: Settings
) -> None:
    answer = caller.send_form({"a.zip": archive}, fields={"network": "resnet9000"})

    assert answer.refusal == (422, "unknown_network")
    assert not Path(settings.storage_url.removeprefix("file://")).exists()
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(StudyRow)) == 0


def repeat(caller: Caller, archive: bytes, study_id: str, fields: dict[str, str]) -> set[str]:
    """Send one request in each way there is, and return the jobs that answer."""
    key = {"Idempotency-Key": "order-7"}
    answers = [
        caller.send(archive, headers=key, query=fields),
        caller.send_form({"a.zip": archive}, headers=key, fields=fields),
        caller.post_json("/v1/jobs", {"study_id": study_id, **fields}, headers=key),
    ]
    return {answer.json.get("id", answer.text) for answer in answers}


@pytest.mark.parametrize("fields", [{}, {"network": "ward"}, {"network": "ward@1.0.0"}])
def test_idempotency_key_is_answered_with_its_job_though_its_network_is_gone(
    caller: Caller, archive: bytes, site: Path, fields: dict[str, str]
) -> None:
    first = caller.send(archive, headers={"Idempotency-Key": "order-7"}, query=fields).json
    for path in site.glob("ward-*"):
        path.unlink()

    assert repeat(caller, archive, first["study_id"], fields) == {first["id"]}


def test_idempotency_key_is_answered_with_its_job_though_another_network_is_usual_now(
    caller: Caller, elsewhere: Caller, archive: bytes
) -> None:
    first = caller.send(archive, headers={"Idempotency-Key": "order-7"}).json

    assert repeat(elsewhere, archive, first["study_id"], {}) == {first["id"]}


def test_folder_that_is_away_is_no_fault_of_who_asks_for_a_network_in_it(
    settings: Settings, key: str, archive: bytes, tmp_path: Path
) -> None:
    app = create_app(settings.model_copy(update={"weights": str(tmp_path / "away")}))
    caller = Caller(app.test_client(), key)

    usual, named = caller.send(archive), caller.send(archive, query={"network": "other"})
    shipped = caller.send(archive, query={"network": "resnet50"})
    ready = caller.get("/health/ready")

    assert usual.refusal == named.refusal == (503, "network_absent")
    assert shipped.status == 202
    assert list(ready.json["errors"]) == ["network"]
    assert str(tmp_path) not in ready.json["detail"]
    app.extensions[EXTENSION].close()
