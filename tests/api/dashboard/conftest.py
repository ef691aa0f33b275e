"""People of every role, each signed in at a browser of their own."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from apiflask import APIFlask
from argon2 import PasswordHasher
from sqlalchemy import event

from api import passwords
from api.parts import EXTENSION
from api.passwords import hash_password
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from db.users import add_user, grant, set_password
from hilum.people import Role
from tests.api.dashboard.visitor import Visitor

PASSWORD = "correct horse battery"

Welcome = Callable[..., Visitor]


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash by the same algorithm, without the effort that keeps guessers busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", PasswordHasher(1, 1024, 1))
        passwords._nobodys.cache_clear()
        yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def come(app: APIFlask, sessions: Sessions) -> Welcome:
    """Add somebody with a role, in one hospital or in all, and sign them in."""

    def sign_in(name: str, role: Role, tenant_id: UUID | None = None) -> Visitor:
        with sessions.begin() as session:
            user = add_user(session, name)
            grant(session, user, role, tenant_id)
            set_password(session, user, hash_password(PASSWORD, name=name))
        visitor = Visitor(app.test_client())
        assert visitor.sign_in(name, PASSWORD).status_code == 303
        return visitor

    return sign_in


@pytest.fixture
def nobody(app: APIFlask) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def reader(come: Welcome, tenant: TenantRow) -> Visitor:
    """A physician of the hospital `tenant`."""
    return come("rita.reader", Role.READER, tenant.id)


@pytest.fixture
def operator(come: Welcome, tenant: TenantRow) -> Visitor:
    """Who keeps the queue of the hospital `tenant` moving."""
    return come("otto.operator", Role.OPERATOR, tenant.id)


@pytest.fixture
def chief(come: Welcome, tenant: TenantRow) -> Visitor:
    """Who administers the hospital `tenant`."""
    return come("clara.chief", Role.ADMIN, tenant.id)


@pytest.fixture
def admin(come: Welcome) -> Visitor:
    """Who administers everything."""
    return come("ada.admin", Role.ADMIN)


@pytest.fixture
def elsewhere(sessions: Sessions) -> TenantRow:
    """Another hospital."""
    with sessions.begin() as session:
        return add_tenant(session, "elsewhere")


@pytest.fixture
def outsider(come: Welcome, elsewhere: TenantRow) -> Visitor:
    """Who administers another hospital."""
    return come("olga.outsider", Role.ADMIN, elsewhere.id)


@pytest.fixture
def statements(app: APIFlask) -> Iterator[list[str]]:
    """What the app asks the database from now on."""
    engine, asked = app.extensions[EXTENSION].engine, []

    def note(_: Any, __: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)
