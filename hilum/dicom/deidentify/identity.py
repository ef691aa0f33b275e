# SPDX-License-Identifier: Apache-2.0
"""The words by which a dataset gives its people away, and where else they turn up.

A name is at home in PatientName, which the profile empties, and strays into attributes that the
profile keeps. What the dataset itself calls identifying is looked for in each of these.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from hilum.dicom.deidentify.elements import DEEPEST, readable
from hilum.dicom.deidentify.profile import Action, Need, Option, rule_of
from hilum.dicom.deidentify.values import TERMS, each
from hilum.dicom.header import BROKEN

IDENTIFIERS: Final = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "CountryOfResidence",
        "InstitutionAddress",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "MedicalRecordLocator",
        "MilitaryRank",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientBirthDate",
        "PatientID",
        "PatientTelecomInformation",
        "PatientTelephoneNumbers",
        "RegionOfResidence",
        "ServiceEpisodeID",
    }
)
"""Keywords of values that identify as a whole; of a person's name every word does."""

WORD: Final = 4
"""Letters from which a word is looked for within others; shorter ones must stand alone."""

SHORTEST: Final = 2
"""Letters of a word that can be told from an initial."""

DIGITS: Final = 6
"""Of a number that is taken for an ID; shorter ones count slices and kilovolts."""

_APART = re.compile(r"[\^=,;\s\\/\x00]+")
_TOKEN = re.compile(r"[\W_]+")
_UID = re.compile(r"[0-2](\.\d+){5,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """What must not be left of a dataset.

    Attributes:
        words: of people's names, folded.
        phrases: IDs and addresses, folded.
        shows_uids: whether a UID within a text may stay.
    """

    words: frozenset[str]
    phrases: frozenset[str]
    shows_uids: bool = False

    @classmethod
    def of(cls, dataset: Dataset, options: frozenset[Option]) -> "Identity":
        """Return what a dataset says of its people, less what these options keep."""
        words, phrases = set[str](), set[str]()
        for keyword, text in _identifying(dataset, options):
            if keyword not in IDENTIFIERS:
                words |= _words(text)
            elif len(_folded(text)) >= WORD:
                phrases.add(_folded(text))
        return cls(frozenset(words), frozenset(phrases), Option.RETAIN_UIDS in options)

    def is_in(self, text: str) -> bool:
        """Tell whether a text names somebody, or tells a UID that was replaced."""
        folded = _folded(text)
        if not self.shows_uids and _UID.search(folded):
            return True
        tokens = set(_TOKEN.split(folded))
        return any(phrase in folded for phrase in self.phrases) or any(
            word in tokens or (word in folded and (len(word) >= WORD or not word.isascii()))
            for word in self.words
        )

    def is_in_term(self, text: str) -> bool:
        """Tell whether a code string names somebody, other than by a term of the standard."""
        return text.strip().upper() not in TERMS and self.is_in(text)

    def is_number(self, text: str) -> bool:
        """Tell whether a number is somebody's ID."""
        folded = _folded(text)
        return len(folded) >= DIGITS and (folded in self.phrases or folded in self.words)


def _identifying(
    dataset: Dataset, options: frozenset[Option], depth: int = 0
) -> Iterator[tuple[str, str]]:
    """Yield keyword and text of all names and identifiers that the options do not keep."""
    for element in readable(dataset):
        if element.VR == "SQ" and depth < DEEPEST:
            for item in element.value:
                yield from _identifying(item, options, depth + 1)
        elif (element.VR == "PN" or element.keyword in IDENTIFIERS) and not _stays(
            element.tag, options
        ):
            yield from ((element.keyword, text) for text in _texts(element))


def _texts(element: DataElement) -> list[str]:
    try:
        return each(element.value)
    except BROKEN:
        # A name is decoded when it is looked at; what cannot be decoded is not kept either.
        return []


def _stays(tag: int, options: frozenset[Option]) -> bool:
    rule = rule_of(tag)
    return rule is not None and rule.action(options, Need.NOTHING) is Action.KEEP


def _words(name: str) -> set[str]:
    """Return the words of a name, and the halves of double ones."""
    whole = {word.strip(".-'") for word in _APART.split(_folded(name))}
    halves = {half for word in whole for half in word.split("-") if len(half) >= WORD}
    return {word for word in whole | halves if len(word) >= SHORTEST or not word.isascii()} - {""}


def _folded(text: str) -> str:
    """Return a text without case, accents and surrounding space."""
    parts = unicodedata.normalize("NFKD", text)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return plain.casefold().strip(" \x00")
