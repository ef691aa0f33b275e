"""Streams as far as they need no real server: who may listen, to what, and what is said first."""

from uuid import UUID, uuid4

import pytest

from api.parts import Parts
from api.streams.listener import Begun
from api.streams.tellers import OfTenant
from db.claims import claim_job, fail_job
from db.session import Sessions
from db.tables import TenantRow
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.api.listening import ear_of


@pytest.fixture
def queued(caller: Caller, archive: bytes) -> str:
    job_id: str = caller.send(archive).json["id"]
    return job_id


def test_ended_job_is_told_once_and_the_stream_ends(caller: Caller, finished: str) -> None:
    answer = caller.get(f"/v1/jobs/{finished}/stream")

    ear = ear_of(answer.text)
    [event] = ear.events()
    assert (event.name, event.id) == ("job", "succeeded")
    shown = caller.get(f"/v1/jobs/{finished}").json
    assert event.data | {"links": {}} == shown | {"links": {}}
    assert ear.retry_ms == 2000
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"


def test_who_heard_that_a_job_has_ended_need_not_come_again(caller: Caller, finished: str) -> None:
    answer = caller.get(f"/v1/jobs/{finished}/stream", headers={"Last-Event-ID": "succeeded"})

    assert (answer.status, answer.data) == (204, b"")


def test_end_of_another_kind_than_was_heard_is_told(
    caller: Caller, queued: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        claim = claim_job(session, UUID(queued), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        fail_job(session, claim, "missing_slices", "Slices are missing.")

    answer = caller.get(f"/v1/jobs/{queued}/stream", headers={"Last-Event-ID": "cancelled"})

    [event] = ear_of(answer.text).events()
    assert (event.id, event.data["error"]["code"]) == ("failed", "missing_slices")


def test_job_says_where_its_stream_is(caller: Caller, queued: str) -> None:
    links = caller.get(f"/v1/jobs/{queued}").json["links"]

    assert links["stream"] == f"/v1/jobs/{queued}/stream"


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/jobs/{job_id}/stream"])
def test_nobody_listens_without_a_key(anyone: Caller, finished: str, path: str) -> None:
    assert anyone.get(path.format(job_id=finished)).refusal == (401, "missing_key")


def test_job_of_another_hospital_is_not_there(stranger: Caller, finished: str) -> None:
    assert stranger.get(f"/v1/jobs/{finished}/stream").refusal == (404, "unknown_job")


@pytest.mark.parametrize("last", ["yesterday", "-1", "1.5", str(2**63)])
def test_last_event_that_is_no_id_is_refused(caller: Caller, last: str) -> None:
    answer = caller.get("/v1/stream", headers={"Last-Event-ID": last})

    assert answer.refusal == (422, "invalid_request")


def test_head_of_a_stream_leaves_nobody_listening(
    caller: Caller, queued: str, parts: Parts
) -> None:
    for path in ("/v1/stream", f"/v1/jobs/{queued}/stream"):
        with caller.client.head(path, headers=caller.headers()) as answer:
            assert answer.status_code == 200

    assert parts.streams.count() == 0


class TestFew:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"streams": 1})

    def test_one_stream_more_than_there_may_be_is_told_to_come_later(
        self, caller: Caller, queued: str, finished: str, parts: Parts
    ) -> None:
        assert queued == finished
        held = parts.streams.listen(uuid4())

        refused = caller.get(f"/v1/jobs/{finished}/stream")
        parts.streams.leave(held)

        assert refused.refusal == (503, "too_many_streams")
        assert refused.headers["Retry-After"] == "10"
        assert caller.get(f"/v1/jobs/{finished}/stream").status == 200


def test_stream_on_which_nothing_happened_says_where_to_go_on_from(
    sessions: Sessions, tenant: TenantRow
) -> None:
    teller = OfTenant(tenant.id, sessions, after=3)

    assert list(teller.tell(Begun(9))) == ["id: 9\n\n"]


def test_page_that_was_read_before_its_stream_began_misses_nothing(
    caller: Caller, queued: str
) -> None:
    with caller.client.get(
        "/v1/stream?after=0", headers=caller.headers(), buffered=False
    ) as answer:
        said = ""
        for chunk in answer.response:
            said += chunk if isinstance(chunk, str) else chunk.decode()
            if "submitted" in said:
                break

    [event, *_] = ear_of(said).events()
    assert (event.name, event.data["job_id"]) == ("submitted", queued)
