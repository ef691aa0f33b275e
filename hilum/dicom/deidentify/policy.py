# SPDX-License-Identifier: Apache-2.0
"""How one hospital has its studies de-identified, as plain data."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, TypeAdapter

from hilum.dicom.deidentify.deidentifier import DEFAULT_OPTIONS, Deidentifier
from hilum.dicom.deidentify.profile import Option


@dataclass(frozen=True, slots=True)
class Policy:
    """A key and what is asked for beside the profile.

    Attributes:
        key: the secret that pseudonyms follow from.
        options: beside the basic profile.
        on_arrival: whether a study is de-identified before it is stored; otherwise only on its way to a
            destination that asks for it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    key: str = field(repr=False)
    options: frozenset[Option] = DEFAULT_OPTIONS
    on_arrival: bool = False

    def deidentifier(self) -> Deidentifier:
        """Return what treats objects by it.

        Raises:
            MissingSetting: the key is too short.
            InvalidRequest: dates cannot be retained both as they are and shifted.
        """
        return Deidentifier(self.key.encode(), self.options)

    def to_json(self) -> dict[str, Any]:
        """Return it as `POLICY` reads it, options in their order."""
        plain: dict[str, Any] = POLICY.dump_python(self, mode="json")
        return plain | {"options": sorted(self.options)}


POLICY: Final[TypeAdapter[Policy]] = TypeAdapter(Policy)
"""Reads a policy that was kept as JSON."""
