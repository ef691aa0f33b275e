"""Scripts of others: locked by content, put where pages load them, with their licences."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from api.vendor import LICENCES, MODULES, SCRIPTS, VENDOR, missing_scripts, vendor_scripts

ROOT = MODULES.parent
LOCK: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text())
MANIFEST: dict[str, Any] = json.loads((ROOT / "package.json").read_text())


def test_what_is_vendored_is_what_the_manifest_asks_for_by_exact_version() -> None:
    asked = MANIFEST["dependencies"] | MANIFEST["devDependencies"]

    assert set(MANIFEST["dependencies"]) == set(SCRIPTS)
    assert all(version[0].isdigit() for version in asked.values())
    assert {name: LOCK["packages"][f"node_modules/{name}"]["version"] for name in asked} == asked


def test_the_lock_holds_packages_by_content_and_names_no_host() -> None:
    packages = {path: package for path, package in LOCK["packages"].items() if path}

    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert [path for path, package in packages.items() if "resolved" in package] == []


def test_no_script_is_missing_here() -> None:
    assert missing_scripts() == []


def test_scripts_come_with_the_licences_of_all_that_is_in_them(tmp_path: Path) -> None:
    vendor_scripts(MODULES, tmp_path / "vendor")

    licences = (tmp_path / "vendor" / LICENCES).read_text()
    assert missing_scripts(tmp_path / "vendor") == []
    assert "@niivue/niivue 0.69.0: BSD-2-Clause" in licences
    assert "fflate" in licences
    assert "axe-core" not in licences


def test_scripts_of_an_older_lock_do_not_stay(tmp_path: Path) -> None:
    vendor = tmp_path / "vendor"
    (vendor / "old").mkdir(parents=True)

    vendor_scripts(MODULES, vendor)

    assert not (vendor / "old").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    vendor_scripts(MODULES, tmp_path)
    (tmp_path / "uplot" / "uPlot.min.css").unlink()

    assert missing_scripts(tmp_path) == ["uplot/uPlot.min.css"]


@pytest.mark.timeout(120)
def test_a_wheel_holds_the_scripts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    here = {str(path.relative_to(ROOT)) for path in VENDOR.rglob("*") if path.is_file()}
    assert here <= held
