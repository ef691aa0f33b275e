# SPDX-License-Identifier: Apache-2.0
"""What may be kept of files: all of them, or what is left where a hospital's patients are to stay there."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from api.parts import Parts
from api.spool import SpooledFile, SpoolFile, spooled
from db.tenants import policy_of
from hilum.dicom.deidentify import Account, Deidentifier, deidentify_file, together
from hilum.errors import InputError, NoDicom
from hilum.storage import check_free

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Treated:
    """Files without their patients.

    Attributes:
        paths: in the order in which they were given.
        refusals: of those that the profile does not reach.
        account: what was done, by tag.
    """

    paths: list[Path]
    refusals: list[InputError]
    account: Account

    def to_json(self) -> dict[str, Any]:
        """Return what was done as plain data: numbers and tags, never a value."""
        left_out = Counter(one.code for one in self.refusals)
        counts = {"instances": len(self.paths), "left_out": dict(sorted(left_out.items()))}
        return counts | self.account.to_json()


@dataclass(frozen=True, slots=True)
class Cleared:
    """Files that may be kept.

    Attributes:
        files: in the spool.
        account: `Treated.to_json()`; None where nothing was to be done.
    """

    files: Sequence[SpooledFile]
    account: dict[str, Any] | None = None


@contextmanager
def cleared(files: Sequence[SpooledFile], tenant_id: UUID, parts: Parts) -> Iterator[Cleared]:
    """Yield what may be kept of files, for the length of a `with` block.

    Raises:
        NotDeidentifiable, BurnedInText: the hospital has its studies de-identified, and nothing
            would be left.
        StorageFull: the disk has no room for a second copy of them.
    """
    with parts.sessions.begin() as session:
        policy = policy_of(session, tenant_id)
    if policy is None or not policy.on_arrival:
        yield Cleared(files)
        return
    needed = sum(file.size for file in files)
    check_free(parts.spool.home, needed=needed, min_free_mb=parts.settings.min_free_mb)
    with parts.spool.folder() as folder:
        treated = treat((file.path for file in files), folder, policy.deidentifier())
        if treated.refusals:
            log.warning("study.left_out", **treated.to_json()["left_out"])
        if treated.refusals and not treated.paths:
            raise treated.refusals[0]
        yield Cleared([spooled(path) for path in treated.paths], treated.to_json())


def treat(paths: Iterable[Path], folder: Path, deidentifier: Deidentifier) -> Treated:
    """Write the objects of files to a folder, without their patients.

    Args:
        paths: what is no DICOM among them is passed over.
        folder: an empty one.
        deidentifier: of the hospital.
    """
    treated, refusals, accounts = [], [], []
    for number, path in enumerate(paths, 1):
        try:
            one = deidentify_file(path, deidentifier)
        except NoDicom:
            continue
        except InputError as error:
            refusals.append(error)
            continue
        # By number: two objects that share a UID are both kept, or both refused by name later.
        treated.append(folder / f"{number}.dcm")
        with SpoolFile(treated[-1]) as file:
            file.write(one.data)
        accounts.append(one.account)
    return Treated(treated, refusals, together(accounts))
