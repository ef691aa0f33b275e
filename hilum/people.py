# SPDX-License-Identifier: Apache-2.0
"""People and what they may do: three roles, written as a table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What somebody is to a hospital, or to all of them."""

    READER = "reader"
    """A physician: reads cases, knows the patients, says whether a verdict is right."""
    OPERATOR = "operator"
    """Keeps the queue moving; needs no patient's name for that."""
    ADMIN = "admin"
    """Also says who may come in, and what is kept."""


class Permission(StrEnum):
    """One thing that a page shows or does."""

    SEE = "see"
    """Cases, their pictures and reports, without what names the patient."""
    KNOW_PATIENTS = "know_patients"
    """Names, numbers, birth dates and accession numbers of patients."""
    SEND = "send"
    """Give a study in."""
    JUDGE = "judge"
    """Say whether a verdict is right."""
    OPERATE = "operate"
    """Retry, cancel, make more or less urgent, run again; pause the queue and drain workers."""
    ADMINISTER = "administer"
    """Users, keys, destinations, webhooks, thresholds, retention, the audit log."""

    @property
    def verb(self) -> str:
        """What it allows, in a sentence that begins with `to`."""
        return self.value.replace("_", " ")


PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.READER: frozenset(
        {Permission.SEE, Permission.KNOW_PATIENTS, Permission.SEND, Permission.JUDGE}
    ),
    Role.OPERATOR: frozenset({Permission.SEE, Permission.SEND, Permission.OPERATE}),
    Role.ADMIN: frozenset(Permission),
}
"""What each role may."""
