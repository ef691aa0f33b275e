from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hilum.errors import UnknownNetwork
from hilum.settings import Settings
from worker.gpu import Networks, prepare


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Leave the threads of this process as they were."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_network_is_loaded_once_and_then_kept() -> None:
    networks = Networks("cpu")

    first, again = networks("resnet50"), networks("resnet50")

    assert first is again
    assert len(first.predict(np.zeros((1, 64, 64), np.float32))) == 1


def test_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(UnknownNetwork, match="'resnet9000'"):
        Networks("cpu")("resnet9000")


def test_fresh_process_takes_its_threads_and_the_network_of_the_settings(
    settings: Settings,
) -> None:
    asked: list[str] = []

    prepare(asked.append, settings.model_copy(update={"threads": 1}))

    assert torch.get_num_threads() == 1
    assert asked == ["resnet50"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_network_runs_on_the_gpu_where_there_is_one() -> None:
    assert Networks("auto")("resnet50").device.type == "cuda"
