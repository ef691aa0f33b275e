from pathlib import Path

import pytest
from PIL import Image

from hilum.training.curve import Curve, smooth
from hilum.training.engine import Step


def _steps(count: int) -> list[Step]:
    return [Step(n, n / count, {"loss_a": 2.0 / n, "loss_b": 1.0}, 1e-4, 0.5) for n in
            range(1, count + 1)]  # fmt: skip


def test_a_curve_is_a_table_and_a_picture(tmp_path: Path) -> None:
    curve = Curve()
    for step in _steps(4):
        curve.add(step, 0.75 if step.number == 4 else None)

    curve.write(tmp_path / "run-fold-0.csv")

    lines = (tmp_path / "run-fold-0.csv").read_text().splitlines()
    assert lines[0] == "step,rate,seconds,loss,dice,loss_a,loss_b"
    assert lines[2] == "2,1.000e-04,0.500,2.00000,,1.00000,1.00000"
    assert lines[4].split(",")[4] == "0.7500"
    with Image.open(tmp_path / "run-fold-0.png") as picture:
        assert picture.size == (880, 660)


def test_an_earlier_part_is_read_up_to_the_checkpoint(tmp_path: Path) -> None:
    curve = Curve()
    for step in _steps(5):
        curve.add(step)
    curve.write(tmp_path / "a.csv")

    again = Curve.read(tmp_path / "a.csv", steps=3)

    assert again.rows == curve.rows[:3]
    assert not Curve.read(tmp_path / "a.csv", steps=0).rows
    assert not Curve.read(tmp_path / "absent.csv", steps=3).rows


def test_a_curve_without_steps_writes_nothing(tmp_path: Path) -> None:
    Curve().write(tmp_path / "a.csv")

    assert not list(tmp_path.iterdir())


def test_smoothing_begins_at_the_first_value_and_follows_slowly() -> None:
    smoothed = smooth([4.0, 4.0, 0.0])

    assert smoothed[:2] == pytest.approx([4.0, 4.0])
    assert 2.5 < smoothed[2] < 2.8
