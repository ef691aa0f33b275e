"""Purges that are carried on by several: none ends before all of it has gone, and none twice."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest

from db import removal
from db.asked_purges import begin_purge, carry_on, purges_going_on
from db.audit import verify_log
from db.proof import prove
from db.purges import Chosen, Wish, find_purge, preview
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import StudyRow, TenantRow
from db.tenants import add_tenant
from hilum.storage import StudyStore
from tests.db.test_removal import UID, count, keep


def begin(sessions: Sessions, tenant: TenantRow) -> UUID:
    chosen = Chosen(tenant.id, study_uid=UID)
    with sessions.begin() as session:
        going = preview(session, EVERYTHING, chosen)
        return begin_purge(session, Wish(chosen, EVERYTHING, "user ada"), going).id


def test_several_who_carry_on_take_all_of_it_once(
    sessions: Sessions, store: StudyStore, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 1)
    for _ in range(12):
        keep(sessions, store, tenant.id)
    purge_id = begin(sessions, tenant)

    go_on = partial(carry_on, sessions, store, purge_id, longest_s=60.0)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(go_on) for _ in range(4)]:
            done.result()
    carry_on(sessions, store, purge_id, longest_s=60.0)

    with sessions.begin() as session:
        row = find_purge(session, EVERYTHING, purge_id)
        assert (row.studies, row.goes_on) == (12, False)
        assert prove(session, store, row).is_gone
        verify_log(session)
    assert count(sessions, StudyRow) == 0


def test_purge_is_not_over_while_another_holds_some_of_it(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id)
    purge_id = begin(sessions, tenant)

    with sessions.begin() as session:
        session.get_one(StudyRow, study_id, with_for_update=True)
        assert carry_on(sessions, store, purge_id, longest_s=0.0).goes_on

    carry_on(sessions, store, purge_id, longest_s=60.0)
    assert not carry_on(sessions, store, purge_id, longest_s=60.0).goes_on
    assert count(sessions, StudyRow) == 0


def test_same_wish_joins_what_goes_on_and_begins_anew_when_it_is_over(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    keep(sessions, store, tenant.id)

    first, second = begin(sessions, tenant), begin(sessions, tenant)
    carry_on(sessions, store, first, longest_s=60.0)
    carry_on(sessions, store, first, longest_s=60.0)
    third = begin(sessions, tenant)

    assert first == second != third


def test_purges_of_other_hospitals_are_not_there(
    sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    keep(sessions, store, tenant.id)
    begin(sessions, tenant)

    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        assert purges_going_on(session, Scope.of(other.id)) == []
        assert len(purges_going_on(session, Scope.of(tenant.id))) == 1
