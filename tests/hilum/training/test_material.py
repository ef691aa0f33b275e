from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import ConfigurationError
from hilum.training.data import picture_paths
from hilum.training.folds import FOLDS
from hilum.training.material import gather

Writer = Callable[..., Path]


def test_a_fold_of_the_shared_slices_is_held_out_with_the_last_controls(shared_data: Path) -> None:
    folders = [shared_data / "ct-lesions/labelled"]

    material = gather(folders, controls=shared_data / "ct-controls", fold=2)

    names = material.names()
    assert set(names["held_out"]) == FOLDS[2]
    assert len(names["learnt"]) == 50 - len(FOLDS[2])
    controls = [path.stem for path in picture_paths(shared_data / "ct-controls")]
    assert names["learnt_controls"] == controls[:40]
    assert names["held_out_controls"] == controls[40:]


def test_without_a_fold_everything_is_learnt_from(tmp_path: Path, write_slices: Writer) -> None:
    folders = [write_slices(tmp_path / "one", "ab"), write_slices(tmp_path / "two", "cd")]

    material = gather(folders)

    assert material.names()["learnt"] == ["a", "b", "c", "d"]
    assert not material.held_out.lesions
    assert material.sources == tuple(map(str, folders))


def test_some_slices_without_lesions_join_the_controls(
    tmp_path: Path, write_slices: Writer
) -> None:
    write_slices(tmp_path, "ab")
    clean = [f"clean_{z}" for z in range(10)]
    write_slices(tmp_path, clean, label=0)

    material = gather([tmp_path], clean_slices=5)

    assert material.names()["learnt"] == ["a", "b"]
    assert material.names()["learnt_controls"] == clean[::2]


def test_one_name_in_two_folders_is_refused(tmp_path: Path, write_slices: Writer) -> None:
    folders = [write_slices(tmp_path / "one", "ab"), write_slices(tmp_path / "two", "bc")]

    with pytest.raises(ConfigurationError, match="Slice b: 2 slices have this name"):
        gather(folders)


def test_data_without_any_lesion_is_refused(tmp_path: Path, write_slices: Writer) -> None:
    write_slices(tmp_path, "ab", label=0)

    with pytest.raises(ConfigurationError, match="none of 2 slices to learn from holds a lesion"):
        gather([tmp_path])


def test_controls_may_be_absent_or_few(tmp_path: Path, write_slices: Writer) -> None:
    (tmp_path / "controls").mkdir()
    Image.fromarray(np.full((64, 64), 190, np.uint8)).save(tmp_path / "controls" / "belly.png")

    material = gather([write_slices(tmp_path / "one", "a")], controls=tmp_path / "controls")

    assert not material.learnt.controls
    assert not material.held_out.controls
