from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hilum.catalogue import GROUND_GLASS
from hilum.evaluation.evaluate import Look
from hilum.evaluation.pictures import picture, write_pictures

Make = Callable[..., Look]


def test_pictures_are_named_worst_first(seen: Make, tmp_path: Path) -> None:
    looks = [seen("good"), seen("bad", certainty=0.1)]

    written = write_pictures(looks, tmp_path / "new", threshold=0.5)

    assert [path.name for path in written] == ["000-dice-0.00-bad.png", "001-dice-1.00-good.png"]
    with Image.open(written[0]) as opened:
        assert opened.size == (40, 20)


def test_the_left_half_is_bare_and_the_right_half_shows_what_was_found(seen: Make) -> None:
    drawn = picture(seen(label=0, certainty=0.9), threshold=0.5)

    left, right = np.hsplit(drawn, 2)
    assert not left.any()
    assert tuple(right[0, 0]) == GROUND_GLASS.color
    assert not right[:, 10:].any()
