# SPDX-License-Identifier: Apache-2.0
"""Whose rows somebody may see: those of some hospitals, or of all."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, true
from sqlalchemy.orm import InstrumentedAttribute


@dataclass(frozen=True, slots=True)
class Scope:
    """Hospitals whose rows a query returns.

    Attributes:
        tenant_ids: of these hospitals; None stands for all, those still to come too.
    """

    tenant_ids: frozenset[UUID] | None

    @classmethod
    def of(cls, *tenant_ids: UUID) -> "Scope":
        """Return the scope of some hospitals."""
        return cls(frozenset(tenant_ids))

    def __contains__(self, tenant_id: UUID) -> bool:
        return self.tenant_ids is None or tenant_id in self.tenant_ids

    @property
    def is_everything(self) -> bool:
        """Whether it holds every hospital."""
        return self.tenant_ids is None

    @property
    def is_nothing(self) -> bool:
        """Whether it holds no hospital at all."""
        return self.tenant_ids is not None and not self.tenant_ids

    def holds(
        self, column: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None]
    ) -> ColumnElement[bool]:
        """Return the condition that a row is of one of the hospitals; an empty scope has no rows."""
        return true() if self.tenant_ids is None else column.in_(self.tenant_ids)


EVERYTHING: Final = Scope(None)
"""Every hospital: for whoever runs the installation."""
