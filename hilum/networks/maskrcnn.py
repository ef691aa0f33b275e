# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN on a ResNet with a feature pyramid, set for lung crops of chest CT.

Four collaborators, as torchvision names them: `transform` (normalise, pad), `backbone`, `rpn`,
and `roi_heads` with a box and a mask branch; and a fifth, `dense_head`. Differences from
torchvision's defaults serve one job, two lesion classes in a lung crop of 384 px: small anchors,
a pyramid of 128 channels instead of 256, and few proposals.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.models.resnet import ResNet, resnet50, resnet101
from torchvision.ops import FrozenBatchNorm2d

from hilum.cards import MAX_PROPOSALS, NetworkInfo
from hilum.errors import BrokenWeights, GpuMemory, UnknownNetwork
from hilum.networks.dense import IGNORED, DenseHead, dense_losses, probabilities
from hilum.networks.detections import Detections
from hilum.networks.folding import fold_norms, lower
from hilum.volume import LESION_WINDOW_HU

BACKBONES: Mapping[str, Callable[..., ResNet]] = MappingProxyType(
    {"resnet50": resnet50, "resnet101": resnet101}
)
"""The residual networks that may stand under the pyramid."""

CLASSES = 3
"""Background 0, ground-glass opacity 1, consolidation 2."""

WINDOW_HU = LESION_WINDOW_HU
"""The window whose ends are 0 and 1 in every image a network sees."""

INPUT_PX = 384
"""Longer side of the image after resizing."""

IMAGE_MEAN = (1 / 6,) * 3
IMAGE_STD = (4 / 3,) * 3
"""Undo the window and apply the backbone's own scale, HU -1000..1000 to 0..1: with x in 0..1,
HU = -1250 + 1500 x, so (HU + 1000) / 2000 = (x - 1/6) / (4/3)."""

ANCHORS_PX = (12, 24, 48, 96, 192)
"""Side of the anchors, one a pyramid level."""

FPN_CHANNELS = 128
"""Half of torchvision's 256: no pretrained pyramid exists to inherit, and the cost of pyramid,
proposal and mask heads falls with its square."""

SIZE_DIVISOR = 32
"""Strides of the deepest feature map: batches are padded to multiples of it."""

ARCHITECTURE = 2
"""Raised whenever the tensors of a network, or their meaning, change; 1 had no dense branch."""

BATCH = MappingProxyType({"cpu": 4, "cuda": 32})
"""Slices a forward pass. On two cores more gain nothing and cost memory; a GPU wants more to do, and
`benchmarks.throughput` measures how many."""

REFUSALS: Final = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory")
"""How cuBLAS, cuDNN, the driver and the CPU's allocator refuse memory: torch gives only the refusals
of its own CUDA allocator a class, `OutOfMemoryError`."""


class Normalise(GeneralizedRCNNTransform):  # type: ignore[misc] # torchvision has no types
    """Normalise and pad images that already have their size."""

    def __init__(self) -> None:
        """Fix mean and standard deviation; sizes are the caller's."""
        super().__init__(
            INPUT_PX, INPUT_PX, list(IMAGE_MEAN), list(IMAGE_STD), size_divisible=SIZE_DIVISOR
        )

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Leave image and target as they are: the caller chose the size."""
        return image, target


class LesionRCNN(MaskRCNN):  # type: ignore[misc] # torchvision has no types
    """Mask R-CNN with a dense branch beside its boxes and masks, `dense_head`."""

    def __init__(self, backbone: BackboneWithFPN, **settings: Any) -> None:
        """Add the branch; `settings` are those of torchvision's Mask R-CNN."""
        super().__init__(backbone, num_classes=None, **settings)
        self.dense_head = DenseHead(FPN_CHANNELS, CLASSES)
        self.transform = Normalise()

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the losses of a batch in training; a `Segmenter` looks at slices part by part.

        Args:
            images: each [3, h, w], 0..1.
            targets: each with `boxes`, `labels` and `masks` as torchvision takes them, and
                `classes` [h, w], the label of every pixel.
        """
        padded, _ = self.transform(images)
        pyramid = self.backbone(padded.tensors)
        proposals, proposal_losses = self.rpn(padded, pyramid, targets)
        _, box_losses = self.roi_heads(pyramid, proposals, padded.image_sizes, targets)
        truth = _pad([target["classes"] for target in targets], padded.tensors.shape)
        return {**proposal_losses, **box_losses, **dense_losses(self.dense_head(pyramid), truth)}


def build(backbone: str) -> LesionRCNN:
    """Make an untrained network over one of `BACKBONES`.

    Batch norm is frozen: batches of four lung crops are too few to estimate it.
    """
    return LesionRCNN(
        _pyramid(backbone),
        rpn_anchor_generator=_anchors(),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_test=MAX_PROPOSALS,
        rpn_batch_size_per_image=256,
        box_head=TwoMLPHead(FPN_CHANNELS * 7**2, 1024),
        box_predictor=FastRCNNPredictor(1024, CLASSES),
        box_batch_size_per_image=128,
        box_score_thresh=0.05,
        box_detections_per_img=50,
        mask_head=MaskRCNNHeads(FPN_CHANNELS, (FPN_CHANNELS,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(FPN_CHANNELS, FPN_CHANNELS, CLASSES),
    )


def _pad(maps: list[Tensor], shape: torch.Size) -> Tensor:
    """Stack label maps [h, w] of several sizes to [n, h, w] of a padded batch's."""
    stack = maps[0].new_full((len(maps), *shape[-2:]), IGNORED)
    for row, labels in zip(stack, maps, strict=True):
        row[: labels.shape[0], : labels.shape[1]] = labels
    return stack


def _pyramid(backbone: str) -> BackboneWithFPN:
    if backbone not in BACKBONES:
        raise UnknownNetwork(f"Backbone {backbone!r}: expected one of {', '.join(BACKBONES)}.")
    body = BACKBONES[backbone](weights=None, norm_layer=FrozenBatchNorm2d)
    layers = {f"layer{level}": str(level - 1) for level in (1, 2, 3, 4)}
    return BackboneWithFPN(body, layers, [256, 512, 1024, 2048], FPN_CHANNELS)


def _anchors() -> AnchorGenerator:
    sizes = tuple((side,) for side in ANCHORS_PX)
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


class Segmenter:
    """A trained network, ready to say what it sees in lung crops.

    Attributes:
        info: what it is and where it cuts.
        device: where it runs.
        dtype: precision of its convolutions.
        batch: slices a forward pass; halved where the device's memory does not hold so many.
        on_halved: told the new `batch` whenever it was halved.
    """

    def __init__(self, network: LesionRCNN, info: NetworkInfo, *, device: str = "auto") -> None:
        """Take over a network: fold, lower and move it; the caller's is changed."""
        self.info = info
        self.device = choose_device(device)
        self.dtype = native_dtype(self.device)
        self.batch = BATCH.get(self.device.type, BATCH["cpu"])
        self.on_halved: Callable[[int], None] = _ignore
        fold_norms(network.backbone.body)
        lower(network, self.dtype)
        for head in _heads(network):
            # Not a method of this: a network that held its segmenter would not leave the GPU with it.
            head.register_forward_hook(partial(_check_finite, info))
        self._network = network.eval().to(self.device)

    def predict(self, images: NDArray[np.float32]) -> list[Detections]:
        """Find lesions in the slices of one crop.

        Args:
            images: [n, h, w], 0..1 over `WINDOW_HU`, any size.

        Returns:
            The detections of each slice, boxes in pixels of the images given.

        Raises:
            BrokenWeights: an answer is not finite.
            GpuMemory: not even one slice fits into the device's memory.
        """
        found: list[Detections] = []
        while len(found) < len(images):
            found += self._predict_fitting(images[len(found) : len(found) + self.batch])
        return found

    @contextmanager
    def one_study(self) -> Iterator[None]:
        """Let a batch that has to be halved in a `with` block be whole again after it.

        What took the memory, another program or one large crop, may be gone by the next study; to
        learn that it is not costs that study one broken pass for each halving.
        """
        whole = self.batch
        try:
            yield
        finally:
            self.batch = whole

    def warm_up(self) -> None:
        """Run once on an empty crop, so that the first study does not wait for kernels."""
        self.predict(np.zeros((1, INPUT_PX, INPUT_PX), np.float32))

    def _predict_fitting(self, images: NDArray[np.float32]) -> list[Detections]:
        """Find lesions in as many of the slices, from the first on, as the memory holds at once."""
        while (found := self._try_batch(images)) is None:
            # Also in the way: what torch keeps of earlier passes, in pieces of other sizes.
            torch.cuda.empty_cache()
            if len(images) == 1:
                return self._predict_last(images)
            self.batch = len(images) // 2
            self.on_halved(self.batch)
            images = images[: self.batch]
        return found

    def _predict_last(self, image: NDArray[np.float32]) -> list[Detections]:
        found = self._try_batch(image)
        if found is None:
            raise GpuMemory(
                f"{self.device} has no memory for one slice beside {self.info.name}"
                f" {self.info.version}{_free(self.device)}."
            )
        return found

    def _try_batch(self, images: NDArray[np.float32]) -> list[Detections] | None:
        """Run one forward pass; None where the device has too little memory for it."""
        try:
            return self._predict_batch(images)
        except RuntimeError as error:
            if not is_short_of_memory(error):
                raise
        # Outside of the handler: the tensors of the pass live as long as its traceback does.
        return None

    @torch.inference_mode()
    def _predict_batch(self, images: NDArray[np.float32]) -> list[Detections]:
        height, width = images.shape[1:]
        batch = self._resize(images)
        padded, _ = self._network.transform(list(batch))
        pyramid = self._network.backbone(padded.tensors)
        every, _ = self._network.rpn(padded, pyramid)
        # Those of a slice come with the likeliest first.
        proposals = [boxes[: self.info.proposals] for boxes in every]
        # The full network would now paste every mask on a whole slice; the heads stop before.
        found, _ = self._network.roi_heads(pyramid, proposals, padded.image_sizes)
        painted = probabilities(self._network.dense_head(pyramid), padded.tensors.shape[-2:])
        unpadded = painted[..., : batch.shape[2], : batch.shape[3]]
        dense = functional.interpolate(unpadded, (height, width), mode="bilinear").cpu().numpy()
        scale = np.array([width / batch.shape[3], height / batch.shape[2]] * 2, np.float32)
        return [
            _detections(result, scale, paint) for result, paint in zip(found, dense, strict=True)
        ]

    def _resize(self, images: NDArray[np.float32]) -> Tensor:
        """Bring slices [n, h, w] to the input size [n, 3, h, w], aspect kept."""
        batch = torch.from_numpy(np.ascontiguousarray(images))[:, None].to(self.device)
        shape = fit(images.shape[1:], INPUT_PX)
        resized = functional.interpolate(batch, shape, mode="bilinear", align_corners=False)
        return resized.expand(-1, 3, -1, -1)


def _heads(network: LesionRCNN) -> tuple[nn.Module, ...]:
    """Return the parts whose answers say what is a lesion and where."""
    heads = network.roi_heads
    return network.rpn.head, heads.box_predictor, heads.mask_predictor, network.dense_head


def _check_finite(info: NetworkInfo, _head: nn.Module, _given: object, answer: Any) -> None:
    # torchvision drops boxes whose score is no number, and a slice without boxes reads healthy.
    if not torch.stack([one.isfinite().all() for one in _tensors(answer)]).all():
        raise BrokenWeights(f"{info.name} {info.version}: answers with values that are not finite.")


def _tensors(answer: Any) -> Iterator[Tensor]:
    """Yield every tensor of a nested list or tuple."""
    if isinstance(answer, Tensor):
        yield answer
    else:
        for part in answer:
            yield from _tensors(part)


def fit(shape: tuple[int, ...], side_px: int) -> tuple[int, int]:
    """Return the (h, w) of a picture whose longer side becomes `side_px`, aspect kept."""
    height, width = shape
    scale = side_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _detections(
    found: dict[str, Tensor], scale: NDArray[np.float32], dense: NDArray[np.float32]
) -> Detections:
    return Detections(
        boxes=found["boxes"].cpu().numpy() * scale,
        scores=found["scores"].cpu().numpy(),
        labels=found["labels"].cpu().numpy(),
        masks=found["masks"][:, 0].cpu().numpy(),  # [n, 28, 28]
        dense=dense,
    )


def is_short_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that a device has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        refusal in str(error) for refusal in REFUSALS
    )


def _free(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    free, total = torch.cuda.mem_get_info(device)
    return f": {free // 2**20} of {total // 2**20} MiB are free"


def _ignore(_batch: int) -> None:
    """Tell nobody."""


def choose_device(name: str) -> torch.device:
    """Turn `auto` into CUDA where there is one, and any other name into that device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def native_dtype(device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the chip multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16
    chip = torch.cpu.get_capabilities()
    native = any(chip.get(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32
