from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hilum.catalogue import GROUND_GLASS
from hilum.evaluation.evaluate import Look
from hilum.evaluation.pictures import picture, write_pictures
from tests.hilum.evaluation.chests import LEFT, RIGHT, WALL, control

Make = Callable[..., Look]


def test_few_slices_are_all_drawn_the_worst_first(seen: Make, tmp_path: Path) -> None:
    looks = [seen("good"), seen("bad", certainty=0.1)]

    written = write_pictures(looks, [], tmp_path / "new", threshold=0.5)

    assert [path.name for path in written] == [
        "slice-000-dice-0.00-bad.png",
        "slice-001-dice-1.00-good.png",
    ]
    with Image.open(written[0]) as opened:
        assert opened.size == (40, 20)


def test_of_many_slices_the_worst_the_median_and_the_best_are_drawn(
    seen: Make, tmp_path: Path
) -> None:
    looks = [seen("bad", certainty=0.1), *(seen(f"good{index}") for index in range(19))]

    written = write_pictures(looks, [], tmp_path, threshold=0.5)

    kinds = [path.name.split("-")[:2] for path in written]
    assert kinds == [
        *(["worst", rank] for rank in ("000", "001", "002")),
        *(["median", rank] for rank in ("008", "009", "010")),
        *(["best", rank] for rank in ("017", "018", "019")),
    ]
    assert written[0].name.endswith("bad.png")


def test_the_controls_with_most_found_in_them_are_drawn(tmp_path: Path) -> None:
    solid = control("solid", image=np.full((160, 240), WALL, np.float32))
    controls = [control("clean"), control("ill", RIGHT, LEFT), solid]

    written = write_pictures([], controls, tmp_path, threshold=0.5)

    assert [path.name for path in written] == [
        "control-000-share-1.0000-ill.png",
        "control-001-share-0.0000-clean.png",
    ]


def test_the_left_half_is_bare_and_the_right_half_shows_what_was_found(seen: Make) -> None:
    drawn = picture(seen(label=0, certainty=0.9), threshold=0.5)

    left, right = np.hsplit(drawn, 2)
    assert not left.any()
    assert tuple(right[0, 0]) == GROUND_GLASS.color
    assert not right[:, 10:].any()
