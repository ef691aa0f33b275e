import pytest
import torch
from torch.nn import functional

from hilum.networks.dense import IGNORED, DenseHead, dense_losses, probabilities

CHANNELS = 16


def _pyramid(side: int) -> dict[str, torch.Tensor]:
    """Features of one image of `side` px, every level of the pyramid."""
    generator = torch.Generator().manual_seed(3)
    sizes = {str(level): side // (4 << level) for level in range(4)}
    return {
        name: torch.rand(1, CHANNELS, size, size, generator=generator)
        for name, size in sizes.items()
    }


def _scores_of(labels: torch.Tensor) -> torch.Tensor:
    """Scores at half the size that are certain of a label map."""
    half = labels[:, ::2, ::2]
    return functional.one_hot(half, 3).permute(0, 3, 1, 2).float() * 20


def test_every_second_pixel_is_scored_for_every_class() -> None:
    head = DenseHead(CHANNELS, classes=3)

    scores = head(_pyramid(64))

    assert scores.shape == (1, 3, 32, 32)


def test_every_level_of_the_pyramid_has_a_say() -> None:
    head = DenseHead(CHANNELS, classes=3)
    pyramid = _pyramid(64)
    whole = head(pyramid)

    for level in pyramid:
        without = head({**pyramid, level: torch.zeros_like(pyramid[level])})

        assert not torch.allclose(whole, without, atol=1e-5), level


def test_probabilities_leave_out_the_background_and_have_the_size_asked_for() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0])[None, :, None, None].expand(1, 3, 4, 4)

    found = probabilities(scores, (8, 8))

    assert found.shape == (1, 2, 8, 8)
    expected = torch.tensor([2.0, 1.0, 0.0]).softmax(0)[1:]
    torch.testing.assert_close(found[0, :, 3, 5], expected)


def test_losses_vanish_when_the_scores_are_the_truth() -> None:
    labels = torch.zeros(2, 32, 32, dtype=torch.long)
    labels[0, 4:20, 4:20] = 1
    labels[1, 10:30, 2:12] = 2

    right = dense_losses(_scores_of(labels), labels)
    wrong = dense_losses(_scores_of(labels.flip(1)), labels)

    # Half-size scores blur the borders, so a little is left.
    assert right["loss_dice"].item() < 0.1
    assert right["loss_dense"].item() < 0.5
    assert wrong["loss_dice"].item() > 5 * right["loss_dice"].item()


def test_the_dice_loss_is_the_one_worked_by_hand() -> None:
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, :10, :10] = 1
    even = torch.zeros(1, 3, 10, 10)  # a third for each class everywhere

    loss = dense_losses(even, labels)["loss_dice"].item()

    # Of 400 pixels 100 are lesion; both classes together get 2/3 of each, one class a third.
    lesions = (2 * 100 * 2 / 3 + 50) / (400 * 2 / 3 + 100 + 50)
    ground_glass = (2 * 100 / 3 + 50) / (400 / 3 + 100 + 50)
    consolidation = 50 / (400 / 3 + 50)
    expected = (1 - lesions) + 0.5 * (1 - (ground_glass + consolidation) / 2)
    assert loss == pytest.approx(expected, abs=1e-4)


def test_ignored_pixels_teach_nothing() -> None:
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[0, 8:16, 8:16] = 1
    labels[0, :, 20:] = IGNORED
    scores = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    scores.requires_grad_()

    torch.stack(list(dense_losses(scores, labels).values())).sum().backward()  # type: ignore[no-untyped-call] # torch

    assert scores.grad is not None
    assert scores.grad[..., :9].abs().sum() > 0
    assert scores.grad[..., 11:].abs().sum() == 0


def test_slices_without_lesions_have_a_finite_loss() -> None:
    losses = dense_losses(torch.zeros(2, 3, 8, 8), torch.zeros(2, 16, 16, dtype=torch.long))

    assert all(torch.isfinite(loss) for loss in losses.values())
