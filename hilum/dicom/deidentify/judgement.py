# SPDX-License-Identifier: Apache-2.0
"""Whether a value that may stay is what it should be: a term, a number, an age, pixels."""

import math
import re
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.uid import UID

from hilum.dicom.deidentify import dates, values
from hilum.dicom.deidentify.identity import Identity
from hilum.dicom.header import CODE_STRING

LONGEST_UID: Final = 64

_UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
"""A UID as the standard has it (PS3.5 9.1); one that is kept may become the name of a file."""


def left_of(element: DataElement, identity: Identity) -> Any:
    """Return what may stay of a value that is no text, date, UID or sequence; None for nothing."""
    vr = element.VR[:2]
    if vr in values.BINARY:
        return element.value if element.keyword in values.SAFE_BINARY else None
    if vr in values.NUMBERS:
        return element.value
    texts = values.each(element.value)
    if vr == "CS":
        return _terms(element.value, texts, identity)
    if vr == "AS":
        return element.value if all(map(dates.is_age, filter(None, texts))) else None
    return element.value if vr in values.DECIMALS and _are_numbers(texts, identity) else None


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID, or empty."""
    return not text or (_UID.fullmatch(text) is not None and len(text) <= LONGEST_UID)


def is_well_known(text: str) -> bool:
    """Tell whether a text is one of the standard's own UIDs, or empty (PS3.6 A)."""
    return not text or bool(UID(text).type)


def _terms(value: Any, texts: list[str], identity: Identity) -> Any:
    # A value's place has a meaning, so one that cannot stay leaves its place empty.
    left = [text if _is_term(text, identity) else "" for text in texts]
    if left == texts:
        return value
    return left if any(left) else None


def _is_term(text: str, identity: Identity) -> bool:
    plain = text.strip(" \x00").upper()
    return not plain or (bool(CODE_STRING.fullmatch(plain)) and not identity.is_in_term(plain))


def _are_numbers(texts: list[str], identity: Identity) -> bool:
    numbers = [text for text in texts if text]
    return all(math.isfinite(float(text)) for text in numbers) and not any(
        map(identity.is_number, numbers)
    )
