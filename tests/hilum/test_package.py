"""What importing the package does, and what it leaves alone."""

import os
import subprocess
import sys

import pytest

import hilum

SHOW = "import hilum, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


def imported(**environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", SHOW]
    return subprocess.check_output(command, env=clean | environment, text=True).split()


def test_threads_wait_with_patience_and_torch_is_not_loaded_yet() -> None:
    assert imported() == ["PASSIVE", "False"]


def test_an_operators_own_choice_of_waiting_is_kept() -> None:
    assert imported(OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE", "False"]


def test_an_attribute_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="'hilum' has no attribute 'analyze'"):
        _ = hilum.analyze
