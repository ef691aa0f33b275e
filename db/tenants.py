# SPDX-License-Identifier: Apache-2.0
"""Hospitals and the keys they call with."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager, joinedload

from db.scope import Scope
from db.tables import KeyRow, TenantRow, now
from hilum.dicom.deidentify import POLICY, Policy
from hilum.errors import InvalidRequest, UnknownKey, UnknownTenant

KEY_PREFIX = "hilum_"
"""Lets a scanner of leaked secrets, and a person, recognise a key."""

KEY_BYTES = 32
"""Random bytes of a key; 43 characters once written."""


def add_tenant(session: Session, name: str) -> TenantRow:
    """Add a hospital.

    Raises:
        InvalidRequest: the name is empty or taken.
    """
    if not name.strip():
        raise InvalidRequest("A tenant needs a name, found none.")
    if find_tenant(session, name) is not None:
        raise InvalidRequest(f"There is a tenant {name!r} already, expected a new name.")
    tenant = TenantRow(name=name)
    session.add(tenant)
    session.flush()
    return tenant


def find_tenant(session: Session, name: str) -> TenantRow | None:
    """Return the hospital of this name."""
    return session.scalar(select(TenantRow).where(TenantRow.name == name))


def tenant_named(session: Session, name: str) -> TenantRow:
    """Return the hospital of this name.

    Raises:
        InvalidRequest: there is none.
    """
    tenant = find_tenant(session, name)
    if tenant is None:
        raise InvalidRequest(f"There is no tenant {name!r}.")
    return tenant


def tenants_in(session: Session, scope: Scope) -> list[TenantRow]:
    """Return the hospitals of a scope by name."""
    held = select(TenantRow).where(scope.holds(TenantRow.id))
    return list(session.scalars(held.order_by(TenantRow.name)))


def tenant_in(session: Session, scope: Scope, tenant_id: UUID) -> TenantRow:
    """Return a hospital of a scope.

    Raises:
        UnknownTenant: there is none with this id, or it is outside.
    """
    held = select(TenantRow).where(scope.holds(TenantRow.id), TenantRow.id == tenant_id)
    tenant = session.scalar(held)
    if tenant is None:
        raise UnknownTenant(f"There is no hospital {tenant_id} that you could change.")
    return tenant


def policy_of(session: Session, tenant_id: UUID) -> Policy | None:
    """Return how a hospital has its studies de-identified; None where it has not."""
    kept = session.scalar(select(TenantRow.deidentification).where(TenantRow.id == tenant_id))
    return None if kept is None else POLICY.validate_python(kept)


def set_policy(session: Session, tenant_name: str, policy: Policy | None) -> None:
    """Say how a hospital has its studies de-identified, from the next one on; None ends it.

    Raises:
        InvalidRequest: there is no such hospital, or dates are retained in two ways.
        MissingSetting: the key is too short.
    """
    tenant = tenant_named(session, tenant_name)
    if policy is not None:
        policy.deidentifier()
    tenant.deidentification = None if policy is None else policy.to_json()


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a hospital may have; None sets no limit.

    Attributes:
        jobs: that wait or run at a time.
        bytes: of all its studies together, as they were sent.
        requests: in a minute, by all of its keys.
    """

    jobs: int | None = None
    bytes: int | None = None
    requests: int | None = None


def quota_of(session: Session, tenant_id: UUID) -> Quota:
    """Return how much a hospital may have."""
    columns = (TenantRow.max_jobs, TenantRow.max_bytes, TenantRow.max_requests)
    return Quota(*session.execute(select(*columns).where(TenantRow.id == tenant_id)).one())


def set_quota(session: Session, tenant_name: str, quota: Quota) -> None:
    """Say how much a hospital may have; web servers believe the old requests for seconds more.

    Raises:
        InvalidRequest: there is no such hospital.
    """
    tenant = tenant_named(session, tenant_name)
    tenant.max_jobs, tenant.max_bytes, tenant.max_requests = (
        quota.jobs,
        quota.bytes,
        quota.requests,
    )


def list_tenants(session: Session) -> list[TenantRow]:
    """Return every hospital by name."""
    return list(session.scalars(select(TenantRow).order_by(TenantRow.name)))


def new_key(session: Session, tenant_name: str, label: str) -> str:
    """Make a key of a hospital and return it; only its hash is kept, so this is the one time.

    Raises:
        InvalidRequest: there is no such hospital.
    """
    tenant = tenant_named(session, tenant_name)
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    session.add(KeyRow(tenant_id=tenant.id, label=label, sha256=_digest(key)))
    return key


def make_key(session: Session, tenant_id: UUID, label: str, *, key_id: UUID) -> str:
    """Make a key of a hospital as `new_key` does, under a given id: a form sent twice makes one.

    Raises:
        InvalidRequest: a key was made under this id before.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    values = {"id": key_id, "tenant_id": tenant_id, "label": label, "sha256": _digest(key)}
    made = insert(KeyRow).values(values).on_conflict_do_nothing().returning(KeyRow.id)
    if session.scalar(made) is None:
        raise InvalidRequest(
            "This form was sent before: the key was made and shown then. If it was not kept,"
            " revoke it and make another."
        )
    return key


def keys_in(session: Session, scope: Scope) -> list[KeyRow]:
    """Return the keys of a scope with their hospitals, by its name, the newest first."""
    query = select(KeyRow).join(KeyRow.tenant).options(contains_eager(KeyRow.tenant))
    held = query.where(scope.holds(KeyRow.tenant_id))
    return list(session.scalars(held.order_by(TenantRow.name, KeyRow.created_at.desc())))


def end_key(session: Session, scope: Scope, key_id: UUID) -> KeyRow:
    """End the validity of a key, if it has not ended; return it.

    Raises:
        UnknownKey: there is none with this id in the scope.
    """
    query = select(KeyRow).where(KeyRow.id == key_id, scope.holds(KeyRow.tenant_id))
    key = session.scalar(query.with_for_update())
    if key is None:
        raise UnknownKey(f"There is no key {key_id} that you could revoke.")
    key.revoked_at = key.revoked_at or now()
    return key


def list_keys(session: Session, tenant_name: str) -> list[KeyRow]:
    """Return a hospital's keys, revoked ones too, oldest first."""
    keys = select(KeyRow).join(KeyRow.tenant).where(TenantRow.name == tenant_name)
    return list(session.scalars(keys.order_by(KeyRow.created_at)))


def revoke_key(session: Session, tenant_name: str, label: str) -> int:
    """End the validity of a hospital's keys of one label; return how many were valid."""
    valid = [key for key in list_keys(session, tenant_name) if key.revoked_at is None]
    revoked = [key for key in valid if key.label == label]
    for key in revoked:
        key.revoked_at = now()
    return len(revoked)


def tenant_of_key(session: Session, key: str) -> TenantRow | None:
    """Return the hospital a valid key belongs to."""
    found = valid_key(session, key)
    return None if found is None else found.tenant


def valid_key(session: Session, key: str) -> KeyRow | None:
    """Return a key that was not revoked, with its hospital."""
    return session.scalar(
        select(KeyRow)
        .where(KeyRow.sha256 == _digest(key), KeyRow.revoked_at.is_(None))
        .options(joinedload(KeyRow.tenant))
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
