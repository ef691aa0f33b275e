"""docs/queue.md names a test for every promise; each is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/queue.md").read_text())


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_test_exists(path: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / path).read_text()


def test_every_pain_has_its_test() -> None:
    rows = [line for line in (ROOT / "docs/queue.md").read_text().splitlines() if "| `" in line]

    assert len(rows) == 14
