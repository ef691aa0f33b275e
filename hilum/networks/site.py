# SPDX-License-Identifier: Apache-2.0
"""A hospital's own networks: checked, then put where web servers and workers look for them."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hilum.cards import CARD_SUFFIX, FAMILY, NAME, WEIGHTS_SUFFIX, Card, read_card, write_card
from hilum.errors import (
    BrokenWeights,
    ConfigurationError,
    InvalidRequest,
    MissingSetting,
    NetworkExists,
)
from hilum.networks.weights import digest, verify
from hilum.registry import SHIPPED_NAMES, Entry, Registry, site_stem

LONGEST_NAME = 48
"""Leaves room for the family's name in the card's, and for a version in the file's."""


def import_network(source: Path, registry: Registry, *, name: str | None = None) -> Entry:
    """Check a weights file and its card and keep both in the site folder of a registry.

    The same network imported twice is success. Jobs may name it from the moment this returns.

    Args:
        source: a `.safetensors` file with its `.json` card beside it.
        registry: the installation's.
        name: what people will ask for; the card's own name where None.

    Raises:
        MissingSetting: the installation has no folder for networks of its own.
        BrokenWeights: the file cannot be used; nothing was kept.
        InvalidRequest, NetworkExists: its name cannot be used; nothing was kept.
        ConfigurationError: the folder cannot be written; nothing was kept.
    """
    if registry.site is None:
        raise MissingSetting("HILUM_WEIGHTS is not set: it names the folder of your own networks.")
    card = _read_source(source)
    card = replace(card, name=f"{FAMILY}{_checked(name or card.network)}")
    path = registry.site / f"{site_stem(card.network, card.version)}{WEIGHTS_SUFFIX}"
    try:
        if not _is_kept(card, path):
            verify(source)
            _keep(source, card, path)
    except OSError as error:
        raise ConfigurationError(
            f"{path.parent}: networks cannot be kept there ({error.strerror}), expected a folder"
            " that can be written and has hard links."
        ) from error
    return Entry(card, path, is_shipped=False)


def _read_source(source: Path) -> Card:
    if source.suffix != WEIGHTS_SUFFIX:
        raise BrokenWeights(
            f"{source.name}: expected a {WEIGHTS_SUFFIX} file; other formats can run code."
        )
    if not source.is_file():
        raise BrokenWeights(f"{source.name}: there is no such file.")
    card = read_card(source)
    if not card.licences:
        raise BrokenWeights(
            f"{source.name}: its card names no source of data; expected each with its licence"
            " in data.sources."
        )
    return card


def _checked(name: str) -> str:
    if not re.fullmatch(NAME, name) or len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"Network name {name!r}: expected up to {LONGEST_NAME} small letters and digits, parts"
            " joined by dashes."
        )
    if name in SHIPPED_NAMES:
        raise NetworkExists(
            f"{name} is the name of a shipped network, which jobs may run by without asking for"
            " it: choose another with --name."
        )
    return name


def _is_kept(card: Card, path: Path) -> bool:
    """Whether this very network is kept already; another of its name and version is an error."""
    if not path.with_suffix(CARD_SUFFIX).exists():
        return False
    # Jobs and reports name a network by its version, so what stands behind it never changes.
    if read_card(path) != card or digest(path) != card.sha256:
        raise NetworkExists(
            f"{path.stem} is kept already with another card or other weights: give this one a"
            " version of its own."
        )
    return True


def _keep(source: Path, card: Card, path: Path) -> None:
    _make(path.parent)
    with TemporaryDirectory(prefix=".import-", dir=path.parent) as folder:
        staged = Path(folder) / path.name
        shutil.copyfile(source, staged)
        # What was verified is what is kept, whoever wrote to the source meanwhile.
        if (found := digest(staged)) != card.sha256:
            raise BrokenWeights(f"{source.name}: SHA-256 {found}, expected {card.sha256}.")
        write_card(card, staged)
        # JSON can say numbers that it cannot be written with again.
        read_card(staged)
        for suffix in (WEIGHTS_SUFFIX, CARD_SUFFIX):
            _finish(staged.with_suffix(suffix))
        _publish(staged, card, path)


def _make(folder: Path) -> None:
    """Make a folder, and those above it, that services of other users can read."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o755)


def _finish(staged: Path) -> None:
    # Services read what another user imported.
    staged.chmod(0o644)
    with staged.open("rb") as file:
        # A name that reaches the disk before its bytes would be an empty file.
        os.fsync(file.fileno())


def _publish(staged: Path, card: Card, path: Path) -> None:
    """Give both files their names, which another import may have taken since they were free."""
    if not _link(staged, path) and digest(path) != card.sha256:
        raise NetworkExists(
            f"{path.name} is there with other weights, of an import at work or one that was cut"
            " short: give this one a version of its own, or remove that file and import again."
        )
    # The card comes last: it is by its card that a network is found.
    if not _link(staged.with_suffix(CARD_SUFFIX), path.with_suffix(CARD_SUFFIX)):
        _is_kept(card, path)


def _link(staged: Path, path: Path) -> bool:
    """Give a file a second name; False where another file has it."""
    try:
        # Unlike a rename, this replaces nothing.
        path.hardlink_to(staged)
    except FileExistsError:
        return False
    return True
