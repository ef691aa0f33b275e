# SPDX-License-Identifier: Apache-2.0
"""Which networks there are: those shipped with Hilum and a hospital's own, found by their cards.

A network is asked for as `name`, its newest version, or as `name@version`. Nothing here loads
torch: the web server refuses what no worker has, and writes down the exact version it accepted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from hilum.cards import CARD_SUFFIX, FAMILY, WEIGHTS_SUFFIX, Card, read_card
from hilum.catalogue import PIPELINES, PipelineCard
from hilum.errors import BrokenWeights, NetworkAbsent, UnknownNetwork

SHIPPED: Final = Path(__file__).parent / "weights"
"""Where the shipped networks lie, each a `.safetensors` with a `.json` card beside it."""

SHIPPED_NAMES: Final = frozenset(name for card in PIPELINES.values() for name in card.networks)
"""Kept for shipped networks: an import must not change what everybody's jobs run by."""

AT: Final = "@"
"""Between a name and a version."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that may be asked for.

    Attributes:
        card: what is known of it.
        path: its weights file.
        is_shipped: whether it came with Hilum.
    """

    card: Card
    path: Path
    is_shipped: bool

    @property
    def name(self) -> str:
        """The name that people ask for."""
        return self.card.network

    @property
    def id(self) -> str:
        """Name and version, as a job remembers them."""
        return f"{self.name}{AT}{self.card.version}"

    @property
    def age(self) -> tuple[int, ...]:
        """Version as numbers: the newest is the largest."""
        return tuple(int(part) for part in self.card.version.split("."))


@dataclass(frozen=True, slots=True)
class Broken:
    """Files that should be a network and cannot be used.

    Attributes:
        path: of the weights file.
        is_shipped: whether it came with Hilum.
        error: what is wrong.
    """

    path: Path
    is_shipped: bool
    error: BrokenWeights

    def claims(self, asked: str) -> bool:
        """Whether its name says that it is what is asked for."""
        if self.is_shipped:
            return self.path.stem.removeprefix(FAMILY) == asked.partition(AT)[0]
        # A name may have dashes of its own, a version has none.
        name, _, version = self.path.stem.rpartition("-")
        return bool(name) and is_version_of(f"{name}{AT}{version}", asked)


@dataclass(frozen=True, slots=True)
class Registry:
    """The networks of an installation, looked up anew each time: an import needs no restart.

    Attributes:
        site: folder of a hospital's own networks; None where it has none.
        shipped: folder of the networks that came with Hilum.
    """

    site: Path | None = None
    shipped: Path = SHIPPED

    @classmethod
    def at(cls, site: str) -> Self:
        """Return the registry of a setting: the folder's path, or nothing."""
        return cls(Path(site) if site else None)

    def survey(self) -> tuple[list[Entry], list[Broken]]:
        """Return the networks by name and version, and what cannot be used.

        Raises:
            NetworkAbsent: the folder of a hospital's own networks cannot be read.
        """
        found = [*_look(self.shipped, is_shipped=True)]
        if self.site is not None:
            _check_readable(self.site)
            found += _look(self.site, is_shipped=False)
        sound = [one for one in found if isinstance(one, Entry)]
        broken = [one for one in found if isinstance(one, Broken)]
        return sorted(sound, key=lambda one: (not one.is_shipped, one.name, one.age)), broken

    def entries(self, pipeline: PipelineCard | None = None) -> list[Entry]:
        """Return the sound networks, of one pipeline where it is given, by name and version.

        Raises:
            NetworkAbsent: the folder of a hospital's own networks cannot be read.
        """
        sound, _ = self.survey()
        return [one for one in sound if _serves(one, pipeline)]

    def find(self, asked: str, pipeline: PipelineCard | None = None) -> Entry:
        """Return the network that is asked for, in its newest version where none is named.

        Raises:
            BrokenWeights: there are files of this name, which cannot be used.
            NetworkAbsent: it is no shipped one, and the folder of the others cannot be read.
            UnknownNetwork: there are none; the sentence lists those there are.
        """
        # No other has the name of a shipped network, which therefore needs no other folder.
        if shipped := _newest(replace(self, site=None).entries(pipeline), asked):
            return shipped
        sound, broken = self.survey()
        entries = [one for one in sound if _serves(one, pipeline)]
        if newest := _newest(entries, asked):
            return newest
        for one in broken:
            if one.claims(asked):
                raise one.error
        raise UnknownNetwork(f"There is no network {asked!r}; {_listed(entries)}.")


SHIPPED_ALONE: Final = Registry()
"""The networks of a machine that has none of its own."""


def site_stem(name: str, version: str) -> str:
    """Return the stem of the files of a hospital's own network."""
    return f"{name}-{version}"


def is_version_of(network: str, asked: str) -> bool:
    """Whether a network, as `name@version`, is the one asked for as that or by `name` alone."""
    return network == asked or network.partition(AT)[0] == asked


def _serves(entry: Entry, pipeline: PipelineCard | None) -> bool:
    return pipeline is None or entry.card.pipeline == pipeline.name


def _newest(entries: Sequence[Entry], asked: str) -> Entry | None:
    fitting = [one for one in entries if is_version_of(one.id, asked)]
    return max(fitting, key=lambda one: one.age, default=None)


def _check_readable(site: Path) -> None:
    """Tell a folder that is away from an empty one, which `glob` does not."""
    try:
        next(site.iterdir(), None)
    except OSError as error:
        raise NetworkAbsent(
            "The folder of your own networks, HILUM_WEIGHTS, cannot be read:"
            f" {error.strerror}; expected a folder, which may be empty."
        ) from error


def _look(folder: Path, *, is_shipped: bool) -> Iterator[Entry | Broken]:
    for beside in sorted(folder.glob(f"*{CARD_SUFFIX}")):
        path = beside.with_suffix(WEIGHTS_SUFFIX)
        try:
            yield _entry(path, is_shipped=is_shipped)
        except BrokenWeights as error:
            yield Broken(path, is_shipped, error)


def _entry(path: Path, *, is_shipped: bool) -> Entry:
    entry = Entry(read_card(path), path, is_shipped)
    if not path.is_file():
        raise BrokenWeights(f"{path.name}: there is a card and no weights file beside it.")
    _check_place(entry)
    return entry


def _check_place(entry: Entry) -> None:
    """Make sure that no two files can claim one name and version."""
    stem = entry.path.stem
    if entry.is_shipped:
        expected = f"{FAMILY}{entry.name}"
    elif entry.name in SHIPPED_NAMES:
        raise BrokenWeights(f"{entry.path.name}: {entry.name} is the name of a shipped network.")
    else:
        expected = site_stem(entry.name, entry.card.version)
    if stem != expected:
        raise BrokenWeights(f"{entry.path.name}: expected {expected}{WEIGHTS_SUFFIX} by its card.")


def _listed(entries: Sequence[Entry]) -> str:
    return f"there is {', '.join(one.id for one in entries) or 'none'}"
