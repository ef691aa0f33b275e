# SPDX-License-Identifier: Apache-2.0
"""Folds: which slices a run holds out, so that each is judged once by a run that never saw it."""

import re
from collections.abc import Collection, Iterable

from hilum.errors import ConfigurationError

FOLDS = (
    frozenset({"002", "003", "012", "024", "025", "028", "035", "042", "054", "057", "067"}),
    frozenset({"010", "013", "014", "041", "043", "044", "045", "046", "052", "053"}),
    frozenset({"000", "001", "005", "011", "016", "023", "029", "032", "034", "055"}),
    frozenset({"004", "019", "020", "026", "030", "039", "047", "050", "051", "056"}),
    frozenset({"015", "017", "027", "031", "033", "037", "040", "049", "058"}),
)
"""The labelled slices of COVID-SemiSeg in five groups. They come without patient ids, but some are
visibly neighbours (003, 012, 028; 025, 042, 057; 035, 067): these stay together, in the first
group. The others were dealt out once by chance."""

CONTROLS_HELD_OUT = 20
"""Most control slices that are never learnt from, and of few controls at most `CONTROLS_SHARE`."""

CONTROLS_SHARE = 3
"""One in so many controls is held out at most."""

_PATIENTS = tuple(
    re.compile(pattern)
    for pattern in (
        # How hilum.training.layouts.dicom begins the names of slices of one patient.
        r"patient\d+(?=-)",
        # COVID-19-CT-Seg: a case of Radiopaedia may have two volumes, as 10 and 29 do.
        r"radiopaedia_(org_covid-19-pneumonia-)?\d+(?=_\d+_\d)",
        # MedSeg stacks 100 slices of some 60 patients, and nobody tells which are of one.
        r"tr_im_\d+$",
    )
)
"""What tells the patient in the names of slices."""


def held_out(names: Collection[str], fold: int | None) -> frozenset[str]:
    """Return the names of the slices that a run with this fold does not learn from.

    Slices of the set that `FOLDS` divides are held out by it, whatever lies beside them. In any
    other data every fifth volume, or patient where one is known, is held out, in order of names.

    Args:
        names: of all slices of the data.
        fold: 0..4; None holds nothing out.

    Raises:
        ConfigurationError: there is no such fold, or nothing in it.
    """
    if fold is None:
        return frozenset()
    if not 0 <= fold < len(FOLDS):
        raise ConfigurationError(f"Fold {fold}: expected 0 to {len(FOLDS) - 1}.")
    kept = FOLDS[fold] & set(names) if _is_divided(names) else _deal(names, fold)
    if not kept:
        raise ConfigurationError(
            f"Fold {fold}: none of the {len(names)} slices is in it, so nothing would be held out; "
            f"they come from {len(_groups(names))} volumes, expected at least {fold + 1}."
        )
    return kept


def controls_held_out(names: Collection[str]) -> frozenset[str]:
    """Return the names of the controls that no run learns from: the last groups that fit.

    They are `CONTROLS_HELD_OUT` or a third, whichever is less: a small hospital's controls would
    otherwise all be held out, and a run learn from none.
    """
    most = min(CONTROLS_HELD_OUT, len(names) // CONTROLS_SHARE)
    kept: frozenset[str] = frozenset()
    for group in reversed(_groups(names)):
        together = kept | {name for name in names if group_of(name) == group}
        kept = together if len(together) <= most else kept
    return kept


def group_of(name: str) -> str:
    """Return what a slice must not be parted from: its patient if known, else its volume."""
    patients = (patient.match(name) for patient in _PATIENTS)
    known = next((patient for patient in patients if patient), None)
    return known[0] if known else volume_of(name)


def volume_of(name: str) -> str:
    """Return which volume a slice `<volume>_<slice>` is from; itself where there is none."""
    return name.rpartition("_")[0] or name


def _is_divided(names: Collection[str]) -> bool:
    return frozenset[str]().union(*FOLDS) <= set(names)


def _deal(names: Iterable[str], fold: int) -> frozenset[str]:
    kept = set(_groups(names)[fold :: len(FOLDS)])
    return frozenset(name for name in names if group_of(name) in kept)


def _groups(names: Iterable[str]) -> list[str]:
    return sorted({group_of(name) for name in names})
