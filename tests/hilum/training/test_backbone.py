import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d

from hilum.errors import MissingSetting
from hilum.networks.maskrcnn import BACKBONES
from hilum.training.backbone import BLOCKS, SHARDS, flatten, load_backbone, recalibrate

has_checkpoint = all(importlib.util.find_spec(name) for name in SHARDS)


def test_a_flattened_kernel_answers_on_a_slice_as_the_deep_one_on_its_repetition() -> None:
    deep = torch.randn(4, 3, 3, 3, 3)
    picture = torch.randn(1, 3, 9, 9)

    flat = flatten({"conv1.weight": deep}, BLOCKS["resnet50"])["conv1.weight"]

    repeated = functional.conv3d(picture[:, :, None].expand(-1, -1, 3, -1, -1), deep)[:, :, 0]
    torch.testing.assert_close(functional.conv2d(picture, flat), repeated, rtol=1e-4, atol=1e-4)


def test_flattening_keeps_the_first_blocks_and_drops_the_classifier() -> None:
    keys = ["layer3.5.bn1.weight", "layer3.6.bn1.weight", "fc.weight", "bn1.num_batches_tracked"]
    state = {key: torch.ones(1) for key in keys}

    assert list(flatten(state, BLOCKS["resnet50"])) == ["layer3.5.bn1.weight"]
    assert len(flatten(state, BLOCKS["resnet101"])) == 2


def test_recalibrated_norms_centre_and_scale_their_own_input() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(3, 8, 3), FrozenBatchNorm2d(8), nn.ReLU())
    images = torch.rand(16, 3, 12, 12) * 5

    recalibrate(layer, layer, images)

    normalised = layer[1](layer[0](images))
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-3
    assert (normalised.var((0, 2, 3)) - 1).abs().max() < 1e-2


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.training.backbone.SHARDS", ("no_such_shard",))

    with pytest.raises(MissingSetting, match="no_such_shard"):
        load_backbone(nn.Identity(), "resnet50")


@pytest.mark.skipif(not has_checkpoint, reason="the chest-CT backbone is not installed")
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_checkpoint_matches_every_key_of_the_backbone(name: str) -> None:
    body = BACKBONES[name](weights=None, norm_layer=FrozenBatchNorm2d)
    body.fc = nn.Identity()
    before = {key: value.clone() for key, value in body.state_dict().items()}

    load_backbone(body, name)

    changed = {key for key, value in body.state_dict().items() if not value.equal(before[key])}
    assert changed == set(before)
