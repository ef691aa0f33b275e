import re

import pytest
from sqlalchemy import select

from db.session import Sessions
from db.tables import KeyRow, TenantRow
from db.tenants import add_tenant, list_keys, list_tenants, new_key, revoke_key, tenant_of_key
from hilum.errors import InvalidRequest


def test_key_opens_the_door_of_its_own_tenant(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
        key = new_key(session, tenant.name, "pacs")
        other_key = new_key(session, other.name, "pacs")

    with sessions.begin() as session:
        found, other_found = tenant_of_key(session, key), tenant_of_key(session, other_key)
    assert found is not None
    assert other_found is not None
    assert (found.id, other_found.id) == (tenant.id, other.id)


def test_key_has_a_prefix_and_256_random_bits(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        first, second = (new_key(session, tenant.name, "pacs") for _ in range(2))

    assert re.fullmatch(r"hilum_[A-Za-z0-9_-]{43}", first)
    assert first != second


def test_key_itself_is_nowhere_in_the_database(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        key = new_key(session, tenant.name, "pacs")
        row = session.scalars(select(KeyRow)).one()

    assert key not in str(vars(row))
    assert len(row.sha256) == 64


def test_revoked_key_opens_nothing_and_others_still_do(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        lost, kept = new_key(session, tenant.name, "lost"), new_key(session, tenant.name, "kept")

    with sessions.begin() as session:
        revoked = revoke_key(session, tenant.name, "lost")

    with sessions.begin() as session:
        assert revoked == 1
        assert tenant_of_key(session, lost) is None
        assert tenant_of_key(session, kept) is not None
        assert [key.label for key in list_keys(session, tenant.name)] == ["lost", "kept"]


def test_key_revoked_twice_was_valid_only_once(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        new_key(session, tenant.name, "pacs")

        counts = [revoke_key(session, tenant.name, "pacs") for _ in range(2)]

    assert counts == [1, 0]


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize("name", ["", "  ", "st-vincent"])
def test_tenant_without_a_name_of_its_own_is_refused(name: str, sessions: Sessions) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match="name"):
        add_tenant(session, name)


def test_key_for_an_unknown_tenant_is_refused(sessions: Sessions) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match="'nowhere'"):
        new_key(session, "nowhere", "pacs")


@pytest.mark.usefixtures("tenant")
def test_tenants_are_listed_by_name(sessions: Sessions) -> None:
    with sessions.begin() as session:
        add_tenant(session, "charite")

        names = [row.name for row in list_tenants(session)]

    assert names == ["charite", "st-vincent"]
