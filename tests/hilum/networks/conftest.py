import copy

import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d

from hilum.networks.maskrcnn import LesionRCNN, build


@pytest.fixture(scope="package")
def untrained() -> LesionRCNN:
    """A ResNet50 network that learnt nothing, its norms far from identity; never change it."""
    torch.manual_seed(7)
    network = build("resnet50")
    network.eval()
    for norm in network.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            norm.weight.uniform_(0.3, 0.7)
            norm.bias.normal_(0, 0.1)
    return network


@pytest.fixture
def network(untrained: LesionRCNN) -> LesionRCNN:
    """A copy of the untrained network, to change at will."""
    return copy.deepcopy(untrained)
