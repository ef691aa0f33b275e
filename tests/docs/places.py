"""Where the documents are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def read(name: str) -> str:
    """Return a document of `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")


def headings(name: str) -> set[str]:
    """Return the headings of a document, without their marks."""
    lines = read(name).splitlines()
    return {line.lstrip("# ").strip() for line in lines if line.startswith("#")}
