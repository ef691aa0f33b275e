# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what, each entry sealed by a hash over itself and the one before it.

Whoever changes, removes or reorders an entry breaks the chain from there on, and anybody can see
it who has the log, in the database or as a file. That its end was cut off cannot be seen from the log
alone: that takes its head, kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from hilum.errors import InvalidRequest

GENESIS: Final = "0" * 64
"""What the first entry has in place of the hash before it."""

LONGEST: Final = 1000
"""Characters kept of a text; the rest of a name that somebody made up helps nobody."""

FIELDS: Final = frozenset(
    {
        "id",
        "at",
        "by",
        "action",
        "tenant_id",
        "subject",
        "detail",
        "address",
        "previous_sha256",
        "sha256",
    }
)
"""What a line of an export has."""


class Action(StrEnum):
    """What somebody did; the part before the dot says to what."""

    SIGNED_IN = "session.signed_in"
    SIGN_IN_FAILED = "session.sign_in_failed"
    LOCKED_OUT = "session.locked_out"
    SIGNED_OUT = "session.signed_out"

    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    PASSWORD_SET = "user.password_set"  # noqa: S105 - the name of an action, no password

    CASE_VIEWED = "case.viewed"
    PATIENT_VIEWED = "case.patient_viewed"
    CASE_EXPORTED = "case.exported"
    LIST_EXPORTED = "case.list_exported"
    DOWNLOADED = "case.downloaded"
    STUDY_SENT = "case.sent"
    FEEDBACK_GIVEN = "case.feedback_given"

    JOB_CANCELLED = "job.cancelled"
    JOB_RETRIED = "job.retried"
    JOB_PRIORITISED = "job.prioritised"
    JOB_RERUN = "job.rerun"
    REGRADED = "job.regraded"

    WORKER_DRAINED = "queue.worker_drained"
    WORKER_RELEASED = "queue.worker_released"
    QUEUE_PAUSED = "queue.paused"
    QUEUE_RESUMED = "queue.resumed"

    TENANT_ADDED = "tenant.added"
    TENANT_CHANGED = "tenant.changed"
    KEY_MADE = "key.made"
    KEY_REVOKED = "key.revoked"
    DESTINATION_CHANGED = "destination.changed"
    WEBHOOK_CHANGED = "webhook.changed"
    THRESHOLDS_ADDED = "thresholds.added"
    THRESHOLDS_CHOSEN = "thresholds.chosen"

    RETENTION_CHANGED = "retention.changed"
    PURGED = "retention.purged"

    AUDIT_EXPORTED = "audit.exported"
    AUDIT_VERIFIED = "audit.verified"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be remembered of something that was done.

    Attributes:
        by: who did it: the name of a person, or the process that did it by itself.
        action: one of `Action`; a newer version may have written others.
        tenant_id: of which hospital; None of none, or of all.
        subject: to what: the id of a job or a study, the name of a user.
        detail: more about it, never what names a patient.
        address: from which network address; None where there is none.
    """

    by: str
    action: str
    tenant_id: UUID | None = None
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An entry in its place in the chain.

    Attributes:
        id: counts from 1 without a gap.
        at: when it was written.
        entry: what was done.
        previous_sha256: `sha256` of the record before; GENESIS in the first.
        sha256: over everything else.
    """

    id: int
    at: datetime
    entry: Entry
    previous_sha256: str
    sha256: str

    @classmethod
    def seal(cls, number: int, at: datetime, entry: Entry, previous_sha256: str) -> Self:
        """Put an entry behind the record whose hash is given."""
        record = cls(number, at, entry, previous_sha256, "")
        return cls(number, at, entry, previous_sha256, digest(record))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a line of an export.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        if frozenset(document) != FIELDS:
            raise ValueError(f"Found {sorted(document)}, expected {sorted(FIELDS)}.")
        tenant_id = document["tenant_id"]
        entry = Entry(
            by=document["by"],
            action=document["action"],
            tenant_id=None if tenant_id is None else UUID(tenant_id),
            subject=document["subject"],
            detail=document["detail"],
            address=document["address"],
        )
        at = datetime.fromisoformat(document["at"])
        hashes = (document["previous_sha256"], document["sha256"])
        return cls(int(document["id"]), at, entry, *hashes)

    def to_json(self) -> dict[str, Any]:
        """Return it as a line of an export has it."""
        return {
            "id": self.id,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "by": self.entry.by,
            "action": str(self.entry.action),
            "tenant_id": None if self.entry.tenant_id is None else str(self.entry.tenant_id),
            "subject": self.entry.subject,
            "detail": self.entry.detail,
            "address": self.entry.address,
            "previous_sha256": self.previous_sha256,
            "sha256": self.sha256,
        }


def canonical(document: Mapping[str, Any]) -> str:
    """Return the one way to write a document: keys sorted, no spaces, nothing escaped needlessly."""
    return json.dumps(
        document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def digest(record: Record) -> str:
    """Return the SHA-256 of a record: of its canonical line in UTF-8, without its own hash."""
    document = record.to_json()
    del document["sha256"]
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return what comes back from the database as it went in, for the hash is of the very bytes.

    A fraction becomes text, since a database may write the same number in another way; so does whatever
    is not JSON. Characters that a database refuses are replaced, and long texts cut.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    text = str(value)[:LONGEST].replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode()


# ── Looking whether it was changed ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends, or ended once.

    Attributes:
        count: how many entries it has.
        sha256: of the last of them.
    """

    count: int
    sha256: str


NOWHERE: Final = Head(0, GENESIS)
"""Where a log ends that has no entry."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place at which a log is not as it was written.

    Attributes:
        id: of the entry.
        reason: a sentence.
    """

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at a log found.

    Attributes:
        count: entries that are as they were written, up to the first that is not.
        head: the last of them.
        broken: where it was changed; None where it was not.
    """

    count: int
    head: Head
    broken: Broken | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was changed."""
        return self.broken is None


def verify(
    records: Iterable[Record],
    *,
    kept: Head | None = None,
    is_part: bool = False,
    after: Head = NOWHERE,
    is_end: bool = True,
) -> Verification:
    """Look at every record of a log, oldest first, up to the first that was changed.

    Args:
        records: read one by one; nothing is kept of those before the last.
        kept: where the log ended when somebody wrote that down elsewhere.
        is_part: records may lack between those given, as in an export of one hospital.
        after: the entry before the first of them, which an earlier look found as it was written.
        is_end: no records follow.
    """
    count, head = after.count, after
    for record in records:
        trouble = _trouble(record, head, kept, is_part=is_part)
        if trouble is not None:
            return Verification(count, head, Broken(record.id, trouble))
        count, head = count + 1, Head(record.id, record.sha256)
    if is_end and kept is not None and head.count < kept.count:
        cut = f"The log ends after entry {head.count}, expected {kept.count} or more."
        return Verification(count, head, Broken(head.count + 1, cut))
    return Verification(count, head, None)


def _trouble(record: Record, head: Head, kept: Head | None, *, is_part: bool) -> str | None:
    expected = head.count + 1
    if record.id < expected or (record.id > expected and not is_part):
        return f"Entry {record.id} comes after entry {head.count}, expected entry {expected}."
    if record.id == expected and record.previous_sha256 != head.sha256:
        return f"Entry {record.id} does not follow from the entry before it."
    if digest(record) != record.sha256:
        return f"Entry {record.id} is not what was written."
    if kept is not None and kept.count == record.id and kept.sha256 != record.sha256:
        return f"Entry {record.id} is not the one whose hash was kept elsewhere."
    return None


def read_lines(lines: Iterable[str]) -> Iterator[Record]:
    """Yield the records of an export.

    Raises:
        InvalidRequest: a line is not one of an export.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield Record.from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidRequest(f"Line {number} is no entry of an audit log.") from error
