import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.errors import ConfigurationError
from hilum.training.recipe import read_recipe
from hilum.training.run import (
    STATUS,
    Run,
    describe_machine,
    memory_peak_mb,
    read_run,
    stem,
    write_run,
)

RUN = Run(
    recipe=read_recipe("resnet50"),
    fold=3,
    steps_made=400,
    learnt=("000", "001"),
    held_out=("015",),
    learnt_controls=("c",),
    held_out_controls=(),
    start="resnet50-pseudo.safetensors, SHA-256 00",
    sources=("labelled",),
    seconds_per_step=1.5,
    memory_peak_mb=3000.0,
    machine="two cores",
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    weights = tmp_path / "resnet50-fold-3.safetensors"

    write_run(RUN, weights)

    assert (tmp_path / "resnet50-fold-3.run.json").exists()
    assert read_run(weights) == RUN


def test_files_are_called_after_recipe_and_fold() -> None:
    assert stem(RUN.recipe, None) == "resnet50"
    assert stem(RUN.recipe, 0) == "resnet50-fold-0"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipe": {"name": "a"}}'])
def test_what_is_not_a_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.run.json").write_text(text)

    with pytest.raises(ConfigurationError, match=r"a\.run\.json"):
        read_run(tmp_path / "a.safetensors")


def test_the_machine_is_named_and_its_memory_counted() -> None:
    cpu = torch.device("cpu")

    assert torch.__version__ in describe_machine(cpu)
    assert 50 < memory_peak_mb(cpu) < 1e6


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux counts a process apart from its parent")
def test_memory_is_that_of_the_process_not_of_the_one_that_started_it() -> None:
    ballast_mb = 1024
    ballast = np.ones(ballast_mb * 2**20, np.uint8)
    asks = "import torch; from hilum.training import run; print(run.memory_peak_mb(torch.device('cpu')))"

    told = subprocess.run([sys.executable, "-c", asks], capture_output=True, check=True, text=True)

    assert ballast[-1] == 1
    assert 50 < float(told.stdout) < ballast_mb
