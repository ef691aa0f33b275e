import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.docs.places import DOCS, ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *DOCS.glob("**/*.md")]

ANCHOR_MARKS = re.compile(r"[^\w\- ]")


def anchors(text: str) -> set[str]:
    """Return the anchors that a renderer makes of the headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {ANCHOR_MARKS.sub("", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text)

    for link in links:
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_readme_is_one_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 90


def test_every_make_target_that_is_written_about_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for path in DOCUMENTS:
        code = re.findall(r"`[^`]+`|^```.*?^```", path.read_text(), re.MULTILINE | re.DOTALL)
        named = {name for part in code for name in re.findall(r"\bmake ([a-z-]+)", part)}
        assert named <= targets, path.name


def test_ci_runs_what_the_readme_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for command in ("make demo", "make test", "make check"):
        assert command in readme
        assert re.search(rf"^\s*{command}\b", ci, re.MULTILINE), command


def test_the_five_packages_belong_to_this_distribution_alone() -> None:
    owners = packages_distributions()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]

    assert packages == ["hilum", "db", "worker", "api", "cli"]
    for package in packages:
        assert set(owners.get(package, ["hilum"])) == {"hilum"}, package


def test_the_changelog_begins_with_the_version_that_is_installed() -> None:
    newest = re.search(r"^## ([0-9.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest is not None
    assert newest[1] == distribution("hilum").version


@pytest.mark.parametrize(
    "name", ["requirements.lock", *(f"locks/{n}.lock" for n in ("api", "worker", "train", "uv"))]
)
def test_lock_files_hash_everything_and_name_no_host(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert "://" not in text
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
    assert len(pins) >= 1


def test_the_web_servers_lock_has_no_torch() -> None:
    assert not re.search(
        r"^(torch|nvidia|scipy|scikit)", (ROOT / "locks/api.lock").read_text(), re.MULTILINE
    )


def test_make_alone_lists_the_targets() -> None:
    make = shutil.which("make") or "make"

    shown = subprocess.run([make], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("demo", "serve", "test", "check", "bench", "lock", "clean"):
        assert f"make {target} " in shown
