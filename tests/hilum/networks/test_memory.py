"""A pass that meets too little memory is made again with half the slices, and nobody notices."""

import gc

import numpy as np
import pytest
import torch

from hilum.errors import GpuMemory
from hilum.networks.detections import Detections
from hilum.networks.maskrcnn import LesionRCNN, Segmenter
from tests.hilum.networks.test_maskrcnn import INFO
from tests.networks import hold_at_most

Pictures = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]


@pytest.fixture
def segmenter(network: LesionRCNN) -> Segmenter:
    """A network that takes eight slices at a time."""
    segmenter = Segmenter(network, INFO, device="cpu")
    segmenter.batch = 8
    return segmenter


@pytest.fixture
def pictures() -> Pictures:
    """Eleven slices with a bright square each, in another place."""
    pictures = np.random.default_rng(5).random((11, 64, 96), np.float32) * 0.2
    for index, picture in enumerate(pictures):
        picture[10:40, 5 * index : 30 + 5 * index] += 0.6
    return pictures


def check_same(found: list[Detections], expected: list[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        for part in ("boxes", "scores", "labels", "masks", "dense"):
            assert np.array_equal(getattr(one, part), getattr(other, part))


def test_batch_is_halved_until_it_fits_and_the_answers_are_those_of_an_undisturbed_run(
    segmenter: Segmenter, pictures: Pictures
) -> None:
    segmenter.batch = 2
    expected = segmenter.predict(pictures)
    segmenter.batch = 8
    told: list[int] = []
    segmenter.on_halved = told.append
    tried = hold_at_most(segmenter, 2)

    found = segmenter.predict(pictures)

    assert tried == [8, 4, 2, 2, 2, 2, 2, 1]
    assert told == [4, 2]
    assert segmenter.batch == 2
    check_same(found, expected)


def test_last_batch_is_halved_from_what_it_holds(segmenter: Segmenter, pictures: Pictures) -> None:
    tried = hold_at_most(segmenter, 1)

    segmenter.predict(pictures[:3])

    assert tried == [3, 1, 1, 1]


def test_memory_that_does_not_hold_one_slice_is_trouble_that_may_pass(
    segmenter: Segmenter, pictures: Pictures
) -> None:
    tried = hold_at_most(segmenter, 0)

    with pytest.raises(GpuMemory, match=r"^cpu has no memory for one slice beside maskrcnn-res"):
        segmenter.predict(pictures[:2])

    # Once more with one slice, after the cache was emptied.
    assert tried == [2, 1, 1]


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_refusals_that_torch_gives_no_class_count_as_well(
    message: str, segmenter: Segmenter, pictures: Pictures
) -> None:
    tried = hold_at_most(segmenter, 4, RuntimeError(message))

    segmenter.predict(pictures[:8])

    assert tried == [8, 4, 4]


def test_another_fault_is_not_taken_for_a_lack_of_memory(
    segmenter: Segmenter, pictures: Pictures
) -> None:
    tried = hold_at_most(segmenter, 4, RuntimeError("CUDA error: device-side assert triggered"))

    with pytest.raises(RuntimeError, match="device-side assert"):
        segmenter.predict(pictures)

    assert tried == [8]


def test_batch_is_whole_again_after_the_study(segmenter: Segmenter, pictures: Pictures) -> None:
    hold_at_most(segmenter, 2)

    with segmenter.one_study():
        segmenter.predict(pictures)
        within = segmenter.batch

    assert (within, segmenter.batch) == (2, 8)


def test_batch_is_whole_again_after_a_study_that_broke_off(
    segmenter: Segmenter, pictures: Pictures
) -> None:
    hold_at_most(segmenter, 0)

    with pytest.raises(GpuMemory), segmenter.one_study():
        segmenter.predict(pictures)

    assert segmenter.batch == 8


def test_pass_that_broke_off_holds_no_tensor_when_the_next_begins(
    segmenter: Segmenter, pictures: Pictures
) -> None:
    alive: list[int] = []

    def look(_part: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        alive.append(sum(1 for one in gc.get_objects() if _is_batch(one)))
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError

    segmenter._network.backbone.register_forward_pre_hook(look)

    segmenter.predict(pictures[:8])

    assert len(set(alive)) == 1


def _is_batch(one: object) -> bool:
    return type(one) is torch.Tensor and one.ndim == 4 and one.shape[1] == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_gpu_whose_memory_is_short_gives_the_same_lesions(
    network: LesionRCNN, pictures: Pictures
) -> None:
    segmenter = Segmenter(network, INFO, device="cuda")
    segmenter.batch = 2
    expected = segmenter.predict(pictures)
    peak = torch.cuda.max_memory_allocated()
    segmenter.batch, told = len(pictures), list[int]()
    segmenter.on_halved = told.append
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        1.2 * peak / torch.cuda.get_device_properties(0).total_memory
    )

    try:
        found = segmenter.predict(pictures)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert told
    for one, other in zip(found, expected, strict=True):
        assert one.scores[0] == pytest.approx(other.scores[0], abs=0.02)
