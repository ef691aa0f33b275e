# SPDX-License-Identifier: Apache-2.0
"""A dataset on its way through the profile: what the table does to each of its elements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.deidentify import dates, judgement, values, vocabulary
from hilum.dicom.deidentify.account import Deed, Tally
from hilum.dicom.deidentify.elements import DEEPEST, read, tags
from hilum.dicom.deidentify.identity import Identity
from hilum.dicom.deidentify.kinds import Kind
from hilum.dicom.deidentify.profile import Action, Need, Option, rule_of
from hilum.dicom.deidentify.pseudonyms import Patient, Pseudonyms
from hilum.dicom.header import BROKEN

PSEUDONYMOUS: Final = frozenset({"PatientID", "PatientName"})
"""Keywords of what a patient is called, by the pseudonym wherever it stands."""

REWRITTEN: Final = frozenset(
    {
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
        "PatientIdentityRemoved",
        "SpecificCharacterSet",
    }
)
"""Keywords of what is said anew at the end; within items it would be false."""

VOID: Final = frozenset({"EncryptedAttributesSequence", "MACParametersSequence"})
"""Keywords of what was encrypted or signed: the one cannot be judged, the other holds no more."""

Judge = Callable[["Cleaner", DataElement, int], DataElement | None]
"""What becomes of an element so many sequences deep."""


@dataclass(frozen=True, slots=True)
class Cleaner:
    """What decides over the elements of one dataset.

    Attributes:
        options: beside the profile.
        pseudonyms: where new UIDs come from.
        patient: whose dataset it is.
        identity: what must not be left of it.
        kind: what its object cannot be without.
        tally: written while elements are judged.
    """

    options: frozenset[Option]
    pseudonyms: Pseudonyms
    patient: Patient
    identity: Identity
    kind: Kind
    tally: Tally = field(default_factory=Tally)

    def clean(self, dataset: Dataset, depth: int = 0) -> Dataset:
        """Return what is left of a dataset; the dataset stays as it is."""
        cleaned = Dataset()
        for tag in tags(dataset):
            if values.keyword_of(tag) in REWRITTEN:
                continue
            element = self._judged(dataset, tag, depth)
            if element is None:
                self.tally.note(tag, Deed.REMOVED)
            else:
                cleaned.add(element)
        return cleaned

    def _judged(self, dataset: Dataset, tag: int, depth: int) -> DataElement | None:
        """Return what becomes of an element; None where it goes."""
        element = read(dataset, tag)
        # What cannot be read cannot be judged, and what cannot be judged is not passed on.
        if element is None or element.keyword in VOID:
            return None
        try:
            return self._ruled(element, depth)
        except BROKEN:
            return None

    def _ruled(self, element: DataElement, depth: int) -> DataElement | None:
        rule = rule_of(element.tag)
        if rule is None:
            return self._kept(element, depth)
        need = self._need(element, depth)
        action = rule.action(self.options, need)
        if action is Action.CLEAN and not values.is_cleanable(element.VR):
            action = rule.without_options(need)
        if action is Action.REMOVE:
            return None
        if element.keyword in PSEUDONYMOUS:
            return self._changed(element, self.patient.pseudonym, Deed.REPLACED)
        return self._ACTS[action](self, element, depth)

    def _need(self, element: DataElement, depth: int) -> Need:
        # Within a sequence the standard's needs depend on which one; having a value meets them all.
        return Need.VALUE if depth else self.kind.need(element.keyword)

    # ── What the table says ───────────────────────────────────────────────────────────────────

    def _emptied(self, element: DataElement, _: int = 0) -> DataElement:
        return self._changed(element, [] if element.VR == "SQ" else None, Deed.EMPTIED)

    def _replaced(self, element: DataElement, depth: int) -> DataElement:
        if element.VR == "UI":
            return self._remapped(element, depth)
        if element.VR == "SQ":
            return self._changed(element, [self._blank(element, depth)], Deed.REPLACED)
        return self._changed(element, values.dummy(element.VR), Deed.REPLACED)

    def _blank(self, element: DataElement, depth: int) -> Dataset:
        """Return an item like the first one of a sequence, without any of its values."""
        blank = Dataset()
        for item in element.value[:1] if depth < DEEPEST else []:
            for tag in tags(item):
                inner, rule = read(item, tag), rule_of(tag)
                goes = rule is not None and rule.without_options(Need.VALUE) is Action.REMOVE
                if inner is not None and not goes:
                    blank.add(self._replaced(inner, depth + 1))
        return blank

    def _remapped(self, element: DataElement, depth: int) -> DataElement:
        if element.VR == "SQ":
            return self._recursed(element, depth) or self._emptied(element)
        uids = [self._uid(text) for text in values.each(element.value)]
        return self._changed(element, uids, Deed.REMAPPED)

    def _uid(self, text: str) -> str:
        old = text.strip(" \x00")
        # Those of the standard name no instance; a well-known frame of reference is one of them.
        return old if not old or judgement.is_well_known(old) else self.pseudonyms.uid(old)

    def _cleaned(self, element: DataElement, depth: int) -> DataElement | None:
        if element.VR in values.TEMPORAL:
            return self._dated(element, self.patient.shift_days, depth)
        words = [self._without_names(text) for text in values.each(element.value)]
        return self._changed(element, words, Deed.CLEANED) if any(words) else None

    def _without_names(self, text: str) -> str:
        words = vocabulary.cleaned(text).split()
        return " ".join(word for word in words if not self.identity.is_in(word))

    # ── What the table does not say, or keeps ─────────────────────────────────────────────────

    def _kept(self, element: DataElement, depth: int) -> DataElement | None:
        """Return an element that may stay, if it is what it should be and names nobody."""
        if element.is_empty:
            return element
        return self._KEEPS.get(element.VR, Cleaner._plain)(self, element, depth)

    def _plain(self, element: DataElement, _: int) -> DataElement | None:
        left = judgement.left_of(element, self.identity)
        if left is None:
            return None
        return element if left is element.value else self._changed(element, left, Deed.CLEANED)

    def _recursed(self, element: DataElement, depth: int) -> DataElement | None:
        if depth >= DEEPEST:
            return None
        items = [self.clean(item, depth + 1) for item in element.value]
        # Items stay in number: those of functional groups belong to frames by their place.
        return _with(element, items) if any(map(len, items)) or not items else None

    def _identifier(self, element: DataElement, depth: int) -> DataElement:
        texts = [text.strip(" \x00") for text in values.each(element.value)]
        may_stay = (
            judgement.is_uid if Option.RETAIN_UIDS in self.options else judgement.is_well_known
        )
        return element if all(map(may_stay, texts)) else self._remapped(element, depth)

    def _temporal(self, element: DataElement, depth: int) -> DataElement | None:
        if Option.RETAIN_MODIFIED_DATES in self.options:
            return self._dated(element, self.patient.shift_days, depth)
        if Option.RETAIN_FULL_DATES in self.options or rule_of(element.tag):
            return self._dated(element, 0, depth)
        return None

    def _dated(self, element: DataElement, days: int, depth: int) -> DataElement:
        texts = [text.strip(" \x00") for text in values.each(element.value)]
        moved = [dates.shifted(element.VR, text, days) for text in texts]
        if moved == texts:
            return element
        if any(moved):
            return self._changed(element, moved, Deed.SHIFTED if days else Deed.CLEANED)
        is_needed = self._need(element, depth) is Need.VALUE
        return self._replaced(element, depth) if is_needed else self._emptied(element)

    def _text(self, element: DataElement, depth: int) -> DataElement | None:
        if not rule_of(element.tag) and element.keyword not in values.SAFE_TEXTS:
            return self._unlisted(element, depth)
        if any(map(self.identity.is_in, values.each(element.value))):
            return self._replaced(element, depth)
        return element

    def _unlisted(self, element: DataElement, depth: int) -> DataElement | None:
        if element.keyword in values.NEEDED_TEXTS:
            return self._replaced(element, depth)
        is_needed = not depth and self.kind.need(element.keyword) is Need.PRESENCE
        return self._emptied(element) if is_needed else None

    def _changed(self, element: DataElement, value: Any, deed: Deed) -> DataElement:
        changed = _with(element, value)
        self.tally.note(element.tag, deed)
        return changed

    _KEEPS: ClassVar[Mapping[str, Judge]] = {
        "SQ": _recursed,
        "UI": _identifier,
        **dict.fromkeys(values.TEMPORAL, _temporal),
        **dict.fromkeys(values.TEXTS, _text),
    }

    _ACTS: ClassVar[Mapping[Action, Judge]] = {
        Action.KEEP: _kept,
        Action.CLEAN: _cleaned,
        Action.EMPTY: _emptied,
        Action.REPLACE: _replaced,
        Action.REMAP: _remapped,
    }


def _with(element: DataElement, value: Any) -> DataElement:
    """Return an element of another value; one value goes without a list."""
    if element.VR == "SQ":
        return DataElement(element.tag, "SQ", Sequence(value))
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return DataElement(element.tag, element.VR, one)
