# SPDX-License-Identifier: Apache-2.0
"""From an upload that is whole to its job."""

import os
from collections.abc import Callable
from uuid import UUID

from api.announcement import Announcement
from api.intake import check_orderable, check_repeat, take_in
from api.orders import Order
from api.partial import DATA, Outcome, Partial
from api.parts import Parts
from api.writer import Writer
from db.jobs import find_job_by_idempotency_key
from db.tables import JobRow
from hilum.errors import InputError


def finish(writer: Writer, tenant_id: UUID, parts: Parts, *, taken: Callable[[UUID], None]) -> None:
    """Take the study of a whole upload in, and note the job or why there is none.

    Args:
        writer: of the upload.
        tenant_id: whose study it is.
        parts: of the app.
        taken: told of the job before the upload is settled; what it raises is tried again.

    Where the world is at fault, the upload stays as it is, and the same may be tried again.

    Raises:
        HilumError: as `take_in`.
    """
    try:
        job = _job_of(writer.partial, tenant_id, parts)
    except InputError as error:
        writer.settle(Outcome(code=error.code, message=error.message))
        raise
    taken(job.id)
    writer.settle(Outcome(job_id=str(job.id)))


def submitted_before(order: Order, parts: Parts) -> JobRow | None:
    """Return the job of an idempotency key seen before.

    Raises:
        IdempotencyConflict: the key was used for another pipeline or network.
    """
    if order.idempotency_key is None:
        return None
    with parts.sessions.begin() as session:
        job = find_job_by_idempotency_key(session, order.tenant_id, order.idempotency_key)
    if job is not None:
        check_repeat(job, order)
    return job


def _job_of(partial: Partial, tenant_id: UUID, parts: Parts) -> JobRow:
    announcement = Announcement.of(partial.metadata, tenant_id, parts.settings)
    job = submitted_before(announcement.order, parts)
    if job is not None:
        return job
    # Nothing is stored for a job that cannot be.
    check_orderable(announcement.order, parts)
    with parts.spool.folder() as folder:
        # A second name for the bytes: unpacking removes it, and they are there for another try.
        os.link(partial.folder / DATA, folder / "body")
        return take_in(announcement.files(folder / "body", folder), announcement.order, parts)
