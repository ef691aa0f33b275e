import copy

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.ops import FrozenBatchNorm2d

from hilum.networks.folding import Lowered, cast, fold_norms


def test_folding_removes_every_norm_and_keeps_the_answers(network: MaskRCNN) -> None:
    body = network.backbone.body
    images = torch.rand(1, 3, 64, 64)
    folded = copy.deepcopy(body)

    fold_norms(folded)

    assert not any(isinstance(module, FrozenBatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        for before, after in zip(body(images).values(), folded(images).values(), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


def test_a_lowered_module_computes_in_its_precision_and_returns_float32() -> None:
    seen: list[torch.dtype] = []
    inner = nn.Linear(4, 2)
    inner.register_forward_hook(lambda _module, given, _result: seen.append(given[0].dtype))

    answer = Lowered(inner, torch.bfloat16)(torch.ones(3, 4))

    assert seen == [torch.bfloat16]
    assert answer.dtype == torch.float32


def test_casting_reaches_into_nested_values_and_leaves_others() -> None:
    nested = {"a": [torch.ones(1)], "b": (torch.zeros(1), "name")}

    result = cast(nested, torch.float64)

    assert result["a"][0].dtype == torch.float64
    assert result["b"][0].dtype == torch.float64
    assert result["b"][1] == "name"
