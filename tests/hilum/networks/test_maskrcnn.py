import copy
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models.detection import MaskRCNN

from hilum.cards import MAX_PROPOSALS
from hilum.errors import BrokenWeights, UnknownNetwork
from hilum.networks.maskrcnn import (
    IMAGE_MEAN,
    IMAGE_STD,
    INPUT_PX,
    WINDOW_HU,
    LesionRCNN,
    NetworkInfo,
    Segmenter,
    build,
    fit,
)

INFO = NetworkInfo("maskrcnn-resnet50", "0.0.0", "0" * 64, WINDOW_HU, INPUT_PX, MAX_PROPOSALS, 0.35)


@pytest.fixture
def pictures() -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Three slices of 192 x 256 px with a bright square each, in another place."""
    rng = np.random.default_rng(5)
    pictures = rng.random((3, 192, 256), np.float32) * 0.2
    for index, picture in enumerate(pictures):
        picture[60:110, 40 + 60 * index : 90 + 60 * index] += 0.6
    return pictures


def test_unknown_backbones_are_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNetwork, match=r"resnet18.*resnet50, resnet101"):
        build("resnet18")


def test_mean_and_deviation_turn_the_window_into_the_backbones_own_scale() -> None:
    hu = -300.0
    windowed = (hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])

    normalised = (windowed - IMAGE_MEAN[0]) / IMAGE_STD[0]

    assert normalised == pytest.approx((hu + 1000) / 2000)


@pytest.mark.parametrize(
    ("shape", "fitted"), [((512, 384), (384, 288)), ((100, 200), (192, 384)), ((384, 384),) * 2]
)
def test_the_longer_side_becomes_the_input_size(
    shape: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert fit(shape, INPUT_PX) == fitted


def test_a_folded_and_lowered_network_answers_as_torchvision_does(
    network: MaskRCNN, pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
) -> None:
    image = torch.nn.functional.interpolate(
        torch.from_numpy(pictures[:1])[None], fit(pictures.shape[1:], INPUT_PX), mode="bilinear"
    )
    with torch.inference_mode():
        plain = copy.deepcopy(network)
        expected = MaskRCNN.forward(plain, [image[0].expand(3, -1, -1)])[0]

    found = Segmenter(network, INFO, device="cpu").predict(pictures[:1])[0]

    assert found.scores.max() == pytest.approx(expected["scores"].max().item(), abs=0.02)
    assert abs(len(found) - len(expected["scores"])) <= 5  # bfloat16 moves scores near the cut


@pytest.mark.parametrize("most", [1, 7])
def test_the_heads_look_into_the_likeliest_proposals_and_no_more(
    network: LesionRCNN,
    pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]],
    most: int,
) -> None:
    segmenter = Segmenter(network, replace(INFO, proposals=most), device="cpu")
    given: list[list[torch.Tensor]] = []
    network.rpn.register_forward_hook(lambda _part, _images, result: given.append(result[0]))
    looked: list[list[torch.Tensor]] = []
    network.roi_heads.register_forward_pre_hook(lambda _part, args: looked.append(args[1]))

    segmenter.predict(pictures)

    for every, chosen in zip(given[0], looked[0], strict=True):
        assert len(every) > most
        assert torch.equal(chosen, every[:most])


def test_training_adds_the_losses_of_the_dense_branch_to_torchvisions_five(
    network: LesionRCNN,
) -> None:
    images = [torch.rand(3, 96, 128), torch.rand(3, 128, 100)]
    targets = [
        {
            "boxes": torch.tensor([[10.0, 10.0, 40.0, 50.0]]),
            "labels": torch.tensor([1]),
            "masks": torch.ones(1, *image.shape[1:], dtype=torch.uint8),
            "classes": torch.zeros(image.shape[1:], dtype=torch.long),
        }
        for image in images
    ]

    losses = network.train()(images, targets)

    assert set(losses) == {
        "loss_objectness",
        "loss_rpn_box_reg",
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
        "loss_dense",
        "loss_dice",
    }
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_dense_branch_paints_the_whole_image_given(
    network: LesionRCNN, pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")

    dense = segmenter.predict(pictures[:2])[1].dense

    assert dense.shape == (2, 192, 256)
    assert dense.min() >= 0
    assert dense.sum(axis=0).max() <= 1 + 1e-5


def test_boxes_come_back_in_pixels_of_the_image_given(
    network: MaskRCNN, pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")
    double = pictures[:1].repeat(2, axis=1).repeat(2, axis=2)

    small, large = segmenter.predict(pictures[:1])[0], segmenter.predict(double)[0]

    assert small.boxes[:, 2].max() <= 256.01
    assert small.boxes[:, 3].max() <= 192.01
    assert large.boxes[:, 2].max() == pytest.approx(2 * small.boxes[:, 2].max(), rel=0.05)


def test_slices_are_answered_in_order_whatever_the_batch(
    network: MaskRCNN,
    pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]],
) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")
    together = segmenter.predict(pictures)

    segmenter.batch = 1
    alone = segmenter.predict(pictures)

    assert len(together) == 3
    for one, other in zip(together, alone, strict=True):
        assert one.scores[0] == pytest.approx(other.scores[0], abs=0.02)
        assert one.masks.shape[1:] == (28, 28)


@pytest.mark.parametrize(
    "bias",
    [
        "rpn.head.cls_logits.bias",
        "rpn.head.bbox_pred.bias",
        "roi_heads.box_predictor.cls_score.bias",
        "roi_heads.box_predictor.bbox_pred.bias",
        "roi_heads.mask_predictor.mask_fcn_logits.bias",
        "dense_head.scores.bias",
        "backbone.body.conv1.weight",
    ],
)
def test_an_answer_that_is_not_finite_is_an_error_and_not_a_healthy_slice(
    network: MaskRCNN,
    pictures: np.ndarray[tuple[int, int, int], np.dtype[np.float32]],
    bias: str,
) -> None:
    network.state_dict()[bias][:1] = torch.nan
    segmenter = Segmenter(network, INFO, device="cpu")

    with pytest.raises(BrokenWeights, match=r"maskrcnn-resnet50 0\.0\.0: .*not finite"):
        segmenter.predict(pictures)


def test_a_segmenter_that_is_let_go_is_gone_at_once(network: LesionRCNN) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")
    watched = weakref.ref(segmenter)

    del segmenter

    assert watched() is None


def test_no_slices_give_no_detections(network: MaskRCNN) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")

    assert segmenter.predict(np.zeros((0, 64, 64), np.float32)) == []


def test_warm_up_and_info_say_what_serves(network: MaskRCNN) -> None:
    segmenter = Segmenter(network, INFO, device="cpu")

    segmenter.warm_up()

    assert segmenter.info is INFO
    assert segmenter.device.type == "cpu"
