"""Programs of the system that tests call, each of a package of Debian."""

import os
import shutil

import pytest


def installed(program: str, *, package: str) -> str:
    """Return the path of a program; without it the test skips, except where CI installs it."""
    path = shutil.which(program)
    if path is None:
        assert "CI" not in os.environ, f"CI installs {package}, so that nothing passes unseen"
        pytest.skip(f"{program} is not installed; on Debian: apt-get install {package}")
    return path
