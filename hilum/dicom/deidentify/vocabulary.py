# SPDX-License-Identifier: Apache-2.0
"""Words that describe an examination and nobody: what Clean Descriptors leaves of a text.

Whatever is not listed goes, so a name need not be recognised to be taken out.
"""

import re
from typing import Final

WORDS: Final = frozenset(
    """
    abdomen angio aorta ap apex arms arterial axial base body bone brain breath cardiac chest
    contrast cor coronal covid cr ct cta delayed dose down dx emphysema expiration expiratory
    feet first follow full hd head heart helical high hold hr hrct in infection initial
    inspiration inspiratory iv kernel kv kvp lateral ldct liver localizer low lung lungs mas max
    mediastinal mediastinum min mip mm mpr mr native neck no nodule non oblique of pa parenchyma
    pelvis pet phase plain pneumonia portable portal post pre prone pulmonalis pulmonary recon
    routine sag sagittal scan scout screening series sharp sl slice slices soft spine spiral
    standard study supine tb thick thin thoracic thorax tissue topogram ultra up upper upright
    venous vessel with without x-ray xray
    """.split()  # noqa: SIM905 - a list would take one line a word
)
"""English and Latin words of chest imaging."""

NUMBER: Final = re.compile(r"\d{1,3}\.\d{1,3}(mm)?|\d{1,3}(mm|kv|kvp|mas|ma|s|%)", re.ASCII)
"""A measure; digits alone may be part of a date, a telephone number or an ID."""

KERNEL: Final = re.compile(r"[bihdqt][a-z]?\d{2}[a-z]?|fc\d{2}", re.ASCII)
"""A reconstruction kernel of Siemens or Canon, such as B70f."""

_APART = re.compile(r"[^\w.%-]+")


def cleaned(text: str) -> str:
    """Return the words of a text that describe an examination, in their order; "" if none does."""
    return " ".join(word for word in _APART.split(text) if _is_plain(word.strip("-.").casefold()))


def _is_plain(word: str) -> bool:
    return word in WORDS or bool(NUMBER.fullmatch(word) or KERNEL.fullmatch(word))
