import dataclasses
from collections import Counter
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch

from hilum.training.augment import STILL
from hilum.training.batches import Examples, draw_batches, images, still, target, targets
from hilum.training.data import Example
from hilum.training.recipe import Recipe

TINY = Recipe("tiny", "resnet50", side_px=64, variation=STILL)


def test_a_target_boxes_its_lesion_with_the_far_edge_beyond_the_last_pixel(
    blob: Callable[..., Example],
) -> None:
    truth = target(blob(label=2).labels)

    assert truth["boxes"].tolist() == [[16, 12, 32, 24]]
    assert truth["labels"].tolist() == [2]
    assert truth["masks"].sum() == 16 * 12


def test_a_clean_slice_has_an_empty_target() -> None:
    truth = target(np.zeros((8, 8), np.uint8))

    assert truth["boxes"].shape == (0, 4)
    assert truth["masks"].shape == (0, 8, 8)


def test_every_slice_comes_once_a_round(blob: Callable[..., Example]) -> None:
    slices = [blob(name) for name in "abcdefgh"]

    drawn = [
        one.name for batch in islice(draw_batches(Examples(slices, []), TINY), 4) for one in batch
    ]

    assert Counter(drawn) == Counter("abcdefgh" * 2)


def test_controls_take_their_share_of_the_slices(blob: Callable[..., Example]) -> None:
    recipe = dataclasses.replace(TINY, control_share=0.25, batch=10)
    examples = Examples([blob("lesion")], [blob("control")])

    drawn = [one.name for batch in islice(draw_batches(examples, recipe), 40) for one in batch]

    assert 70 < drawn.count("control") < 130


def test_batches_after_a_pause_are_those_that_would_have_come(
    blob: Callable[..., Example],
) -> None:
    recipe = Recipe("tiny", "resnet50", side_px=64, control_share=0.3)
    examples = Examples([blob(name) for name in "abcde"], [blob("x"), blob("y")])
    straight = list(islice(draw_batches(examples, recipe), 6))

    later = list(islice(draw_batches(examples, recipe, made=4), 2))

    for before, after in zip(straight[4:], later, strict=True):
        assert [one.name for one in before] == [one.name for one in after]
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one.image, other.image)


def test_no_two_steps_vary_a_slice_alike(blob: Callable[..., Example]) -> None:
    recipe = Recipe("tiny", "resnet50", side_px=64, batch=1)

    (one,), (other,) = islice(draw_batches(Examples([blob()], []), recipe), 2)

    assert not np.array_equal(one.image, other.image)


def test_slices_become_three_equal_channels_with_their_targets(
    blob: Callable[..., Example],
) -> None:
    device = torch.device("cpu")
    (resized,) = still([blob()], TINY)

    (image,), (truth,) = images([resized], device), targets([resized], device)

    assert image.shape == (3, 48, 64)
    assert torch.equal(image[0], image[2])
    assert truth["masks"].shape == (1, 48, 64)
