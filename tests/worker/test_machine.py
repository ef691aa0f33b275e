"""What a process says of its machine, with a GPU and without."""

from collections.abc import Callable
from typing import Any

import pynvml
import pytest
import torch

from worker import machine
from worker.machine import Device, resident_bytes

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_process_knows_how_much_memory_it_has() -> None:
    found = resident_bytes()

    assert found is not None
    assert 10 * 2**20 < found < 2**40


def test_system_that_does_not_tell_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "statm")

    assert resident_bytes() is None


def test_device_without_a_gpu_has_no_numbers() -> None:
    device = Device.open("cpu")

    assert (device.name, device.gpu) == ("cpu", None)
    assert (device.memory_bytes(), device.utilisation()) == ((None, None), None)


@pytest.mark.parametrize("question", [Device.memory_bytes, Device.utilisation])
def test_gpu_whose_driver_does_not_answer_has_no_numbers(
    question: Callable[[Device], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    for name in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates"):
        monkeypatch.setattr(pynvml, name, refuse)

    assert question(Device("cuda:0", "NVIDIA A30", object())) in (None, (None, None))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver")
def test_machine_without_a_driver_gives_no_handle() -> None:
    assert machine._handle("11111111-2222-3333-4444-555555555555") is None


@needs_gpu
def test_gpu_says_how_full_and_how_busy_it_is() -> None:
    device = Device.open("cuda")
    before, total = device.memory_bytes()
    held = torch.zeros(2**28, dtype=torch.uint8, device="cuda")
    after, _ = device.memory_bytes()

    assert (device.name, device.gpu) == ("cuda:0", torch.cuda.get_device_name())
    assert before is not None
    assert after is not None
    assert total is not None
    assert after - before >= held.numel()
    assert after < total
    utilisation = device.utilisation()
    assert utilisation is None or 0.0 <= utilisation <= 1.0
