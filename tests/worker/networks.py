"""What becomes of a network's files on their way, told by its weights file."""

from collections.abc import Callable
from pathlib import Path

from hilum.cards import CARD_SUFFIX


def _cut(path: Path) -> None:
    content = path.read_bytes()
    # The site's files are links to those of every other test.
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def _cut_card(path: Path) -> None:
    _cut(path.with_suffix(CARD_SUFFIX))


def _unmount(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))


HARMS: dict[str, Callable[[Path], None]] = {
    "a card without weights": Path.unlink,
    "half the weights": _cut,
    "half the card": _cut_card,
    "no folder": _unmount,
}
