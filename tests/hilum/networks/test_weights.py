import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from hilum.cards import BACKBONE, SERVED, Preprocessing
from hilum.errors import BrokenWeights, UnknownNetwork
from hilum.networks.detections import label_map, lesion_map
from hilum.networks.maskrcnn import (
    ARCHITECTURE,
    BACKBONES,
    IMAGE_MEAN,
    IMAGE_STD,
    INPUT_PX,
    WINDOW_HU,
)
from hilum.networks.weights import (
    FOLDER,
    LARGEST_FILE,
    NETWORKS,
    Card,
    digest,
    find,
    load,
    load_path,
    pack,
    read_card,
    read_tensors,
    unpack,
    verify,
    write_card,
    write_tensors,
)
from hilum.registry import Registry
from hilum.training.data import read_labelled

LARGEST_FILE_BYTES = 95_000_000


@pytest.fixture
def packed(network: MaskRCNN, tmp_path: Path) -> Path:
    """A weights file with its card, as a release writes them."""
    path = tmp_path / "maskrcnn-tiny.safetensors"
    sha256 = write_tensors(network.state_dict(), path)
    write_card(Card("maskrcnn-tiny", "0.0.1", "resnet50", sha256, operating_point=0.4), path)
    return path


def rewrite(path: Path, state: dict[str, Tensor]) -> None:
    """Write other tensors, with a card that knows them."""
    sha256 = write_tensors(state, path)
    write_card(dataclasses.replace(read_card(path), sha256=sha256), path)


def test_packing_moves_no_value_by_more_than_half_a_step_of_its_channel() -> None:
    torch.manual_seed(0)
    kernels = torch.randn(8, 4, 3, 3) * torch.logspace(-4, 2, 8)[:, None, None, None]

    restored = unpack(pack({"conv.weight": kernels}))["conv.weight"]

    steps = kernels.abs().flatten(1).amax(1) / 127
    moved = (restored - kernels).abs().flatten(1).amax(1)
    assert (moved <= 0.5001 * steps).all()


def test_biases_and_norms_are_kept_to_the_last_bit() -> None:
    bias = torch.randn(16)

    assert torch.equal(unpack(pack({"bias": bias}))["bias"], bias)


def test_a_channel_of_zeros_stays_zero() -> None:
    assert not unpack(pack({"weight": torch.zeros(2, 3)}))["weight"].any()


def test_packed_files_take_a_quarter_of_the_bytes(packed: Path, network: MaskRCNN) -> None:
    float32_bytes = sum(value.nbytes for value in network.state_dict().values())

    assert packed.stat().st_size < 0.27 * float32_bytes


def test_a_file_and_its_card_make_a_segmenter(packed: Path) -> None:
    segmenter = load_path(packed, device="cpu")

    assert segmenter.info.name == "maskrcnn-tiny"
    assert segmenter.info.operating_point == 0.4
    assert segmenter.info.sha256 == read_card(packed).sha256


def test_a_changed_byte_refuses_to_load(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[-1] ^= 1
    packed.write_bytes(data)

    with pytest.raises(BrokenWeights, match=r"maskrcnn-tiny.*SHA-256 \w+, expected \w+"):
        load_path(packed)


def test_tensors_of_another_network_refuse_to_load(packed: Path) -> None:
    rewrite(packed, {"stray": torch.zeros(1)})

    with pytest.raises(BrokenWeights, match="do not fit a resnet50"):
        load_path(packed)


def test_a_file_that_is_not_safetensors_is_named(packed: Path) -> None:
    packed.write_bytes(b"not weights")
    write_card(dataclasses.replace(read_card(packed), sha256=digest(packed)), packed)

    with pytest.raises(BrokenWeights, match=r"maskrcnn-tiny\.safetensors: not a safetensors file"):
        load_path(packed)


def test_what_the_cards_speak_of_is_what_the_network_does() -> None:
    served = Preprocessing(WINDOW_HU, INPUT_PX, IMAGE_MEAN, IMAGE_STD, ARCHITECTURE)

    assert served == SERVED
    assert all(re.fullmatch(BACKBONE, name) for name in BACKBONES)


def test_a_card_for_another_backbone_refuses_to_load(packed: Path) -> None:
    write_card(dataclasses.replace(read_card(packed), backbone="vgg16"), packed)

    with pytest.raises(BrokenWeights, match=r"backbone: .*resnet\(50\|101\)"):
        load_path(packed)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_refuse_to_load(
    packed: Path, network: MaskRCNN, value: float
) -> None:
    state = network.state_dict()
    state["rpn.head.bbox_pred.bias"][3] = value
    rewrite(packed, state)

    with pytest.raises(BrokenWeights, match=r"rpn\.head\.bbox_pred\.bias.*not finite"):
        load_path(packed)


@pytest.mark.parametrize("scale", [torch.ones(1000), torch.ones(2, 1), torch.ones(())])
def test_a_scale_that_would_swell_its_tensor_is_refused(scale: Tensor) -> None:
    with pytest.raises(BrokenWeights, match=r"\[1, 1000\] has a scale"):
        unpack({"weight": torch.ones(1, 1000, dtype=torch.int8), "weight.scale": scale})


def test_a_file_too_large_to_be_weights_is_not_read(packed: Path) -> None:
    with packed.open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)

    with pytest.raises(BrokenWeights, match=r"bytes, expected at most"):
        verify(packed)


def test_a_sound_network_is_verified_by_a_look(packed: Path) -> None:
    assert verify(packed) == read_card(packed)


def test_a_network_of_sound_values_that_answers_with_none_is_refused(
    packed: Path, network: MaskRCNN
) -> None:
    state = network.state_dict()
    state["backbone.body.bn1.running_var"].fill_(-1)
    rewrite(packed, state)

    with pytest.raises(BrokenWeights, match=r"maskrcnn-tiny 0\.0\.1: answers with values"):
        verify(packed)


def test_a_network_that_only_an_empty_slice_does_not_overflow_is_refused(
    packed: Path, network: MaskRCNN
) -> None:
    state = network.state_dict()
    norm = "backbone.body.bn1."
    for name, value in (("running_mean", 0), ("running_var", 1), ("weight", 1), ("bias", 0)):
        state[norm + name].fill_(value)
    # Air is negative here and stays behind the ReLU; what is brighter comes near the largest float.
    state["backbone.body.conv1.weight"].zero_()[:, 0, 3, 3] = 3e38
    rewrite(packed, state)

    load_path(packed, device="cpu").warm_up()
    with pytest.raises(BrokenWeights, match="not finite"):
        verify(packed)


def test_unknown_networks_are_named_with_the_known_ones(site: Path) -> None:
    with pytest.raises(UnknownNetwork, match=r"'vgg'.*ward@1\.0\.0"):
        find("vgg", registry=Registry(site))


def test_a_network_of_the_hospital_is_loaded_by_its_name(site: Path) -> None:
    segmenter = load("ward", device="cpu", registry=Registry(site))

    assert (segmenter.info.name, segmenter.info.version) == ("maskrcnn-ward", "1.0.0")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_weights_are_small_known_and_match_their_card(path: Path) -> None:
    card = read_card(path)

    assert path.stem.removeprefix("maskrcnn-") in NETWORKS
    assert card.licences
    assert path.stat().st_size < LARGEST_FILE_BYTES
    assert read_tensors(path, card)
    assert 0.1 <= card.operating_point <= 0.9
    assert abs(card.metrics["dice"]["value"] - card.metrics["dice_float32"]) < 0.002


def test_the_shipped_network_finds_the_lesions_of_a_slice_it_has_not_seen(
    shared_data: Path,
) -> None:
    slices = read_labelled(shared_data / "ct-lesions" / "labelled")
    unseen = next(example for example in slices if example.name == "035")
    segmenter = load("resnet50", device="cpu")

    detections = segmenter.predict(unseen.image[None])[0]

    height, width = unseen.labels.shape
    votes = lesion_map(detections, (height, width))
    found = label_map(votes, threshold=segmenter.info.operating_point) > 0
    truth = unseen.labels > 0
    assert 2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum()) > 0.7
