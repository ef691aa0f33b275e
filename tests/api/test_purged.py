"""What a client sees of a study that was purged."""

from uuid import UUID

from apiflask import APIFlask

from db.purges import Chosen, Wish
from db.removal import purge
from db.scope import EVERYTHING
from db.session import Sessions
from db.tables import TenantRow
from hilum.storage import StudyStore
from tests.api.caller import Caller


def test_study_sent_again_after_a_purge_is_a_new_study_and_a_new_job(
    caller: Caller, archive: bytes, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    first = caller.send(archive, headers={"Idempotency-Key": "monday"}).json
    assert caller.delete(f"/v1/jobs/{first['id']}").status == 200
    chosen = Chosen(tenant.id, study_id=UUID(first["study_id"]))

    assert purge(sessions, store, Wish(chosen, EVERYTHING, "user ada")) is not None

    assert caller.get(f"/v1/jobs/{first['id']}").status == 404
    assert caller.get(f"/v1/studies/{first['study_id']}").status == 404
    again = caller.send(archive, headers={"Idempotency-Key": "monday"}).json
    assert again["study_id"] != first["study_id"]
    assert again["id"] != first["id"]
    assert again["state"] == "queued"


def test_no_route_of_the_api_purges(app: APIFlask) -> None:
    """A key is a program's; only people purge, by a page or a command."""
    removing = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "DELETE" in (rule.methods or ()) and rule.rule.startswith("/v1/")
    }

    assert not any("studies/<" in rule for rule in removing)
    assert not any("purge" in rule.rule for rule in app.url_map.iter_rules() if "/v1/" in rule.rule)
