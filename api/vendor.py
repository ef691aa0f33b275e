# SPDX-License-Identifier: Apache-2.0
"""Scripts of others that pages load, served from here: hospitals have no internet.

`python -m api.vendor` puts them beside our own, from where npm put them; `make install` runs both.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SCRIPTS: Final = {
    "@niivue/niivue": ("dist/niivue.umd.js",),
    "client-zip": ("index.js",),
    "htmx.org": ("dist/htmx.min.js",),
    "tus-js-client": ("dist/tus.min.js",),
    "uplot": ("dist/uPlot.iife.min.js", "dist/uPlot.min.css"),
}
"""Files that pages load, by the package of npm that brings them; here they lie in `<package>/`."""

VENDOR: Final = Path(__file__).parent / "static" / "vendor"
"""Where pages load them from, as `/static/vendor/`."""

MODULES: Final = Path(__file__).parents[1] / "node_modules"
"""Where npm puts packages."""

LICENCES: Final = "LICENCES.txt"
"""Every licence of what lies here; written last, so that whoever finds it finds the rest."""


def missing_scripts(vendor: Path = VENDOR) -> list[str]:
    """Return the files that pages load and that are not there."""
    return [name for name in _names() if not (vendor / name).is_file()]


def vendor_scripts(modules: Path = MODULES, vendor: Path = VENDOR) -> None:
    """Copy what pages load out of the packages, with the licences of all that is in them."""
    shutil.rmtree(vendor, ignore_errors=True)
    for package, files in SCRIPTS.items():
        folder = vendor / package
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(modules / package / file, folder)
    (vendor / LICENCES).write_text("\n".join(_licences(modules)), encoding="utf-8")


def _names() -> Iterator[str]:
    for package, files in SCRIPTS.items():
        yield from (f"{package}/{Path(file).name}" for file in files)


def _licences(modules: Path) -> Iterator[str]:
    """Yield the licence of each package: a built file holds what its package depends on."""
    for folder in _packages(modules):
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        yield f"{package['name']} {package['version']}: {_name_licence(package)}\n"
        # Some say in their manifest alone under which licence they are.
        texts = sorted(folder.glob("[Ll][Ii][Cc][Ee][Nn][SsCc][Ee]*"))
        yield from (text.read_text(encoding="utf-8") for text in texts)


def _packages(modules: Path) -> list[Path]:
    """Return the folders of what is installed, without what tests alone need."""
    installed = json.loads((modules / ".package-lock.json").read_text(encoding="utf-8"))
    return [
        modules.parent / path
        for path, package in installed["packages"].items()
        if not package.get("dev")
    ]


def _name_licence(package: dict[str, object]) -> str:
    author = package.get("author", "")
    name = author.get("name", "") if isinstance(author, dict) else author
    return f"{package.get('license', 'see its text')}{f', by {name}' if name else ''}"


if __name__ == "__main__":
    vendor_scripts()
