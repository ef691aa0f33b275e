from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from hilum.cards import read_card, write_card
from hilum.errors import GpuMemory, MissingSetting, NetworkAbsent
from hilum.networks.maskrcnn import Segmenter
from hilum.registry import Registry
from hilum.settings import Settings
from tests.networks import add_version, hold_at_most
from tests.worker.networks import HARMS
from worker.gpu import Networks, prepare


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Leave the threads of this process as they were."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_network_is_loaded_once_and_then_kept(site: Path) -> None:
    networks = Networks("cpu", Registry(site))

    first, again = networks("ward@1.0.0"), networks("ward@1.0.0")

    assert first is again
    assert first.info.name == "maskrcnn-ward"
    assert len(first.predict(np.zeros((1, 64, 64), np.float32))) == 1


def test_job_gets_the_version_it_was_accepted_with_though_a_newer_one_came(site: Path) -> None:
    networks = Networks("cpu", Registry(site))
    networks("ward@1.0.0")
    add_version(site, "ward", "1.1.0")

    accepted, newest = networks("ward@1.0.0"), networks("ward")

    assert (accepted.info.version, newest.info.version) == ("1.0.0", "1.1.0")


def test_third_network_takes_the_place_of_the_one_that_was_not_asked_for_longest(
    site: Path,
) -> None:
    networks = Networks("cpu", Registry(site))
    add_version(site, "ward", "1.1.0")
    ward, other = networks("ward@1.0.0"), networks("other@1.0.0")
    networks("ward@1.0.0")

    networks("ward@1.1.0")

    assert networks("ward@1.0.0") is ward
    assert networks("other@1.0.0") is not other


def test_network_that_this_worker_lacks_is_no_fault_of_the_job(site: Path) -> None:
    with pytest.raises(NetworkAbsent, match=r"'ward@9\.0'.*ward@1\.0\.0"):
        Networks("cpu", Registry(site))("ward@9.0")


def test_network_whose_files_were_replaced_is_loaded_anew(site: Path) -> None:
    networks = Networks("cpu", Registry(site))
    other, old = networks("other@1.0.0"), networks("ward@1.0.0")
    path = site / "ward-1.0.0.safetensors"
    card = replace(read_card(path), operating_point=0.7)
    path.with_suffix(".json").unlink()
    write_card(card, path)

    new = networks("ward@1.0.0")

    assert (old.info.operating_point, new.info.operating_point) == (0.4, 0.7)
    assert networks("ward@1.0.0") is new
    assert networks("other@1.0.0") is other


@pytest.mark.parametrize("harm", HARMS)
def test_network_that_cannot_be_used_yet_is_no_fault_of_the_job(harm: str, site: Path) -> None:
    HARMS[harm](site / "ward-1.0.0.safetensors")

    with pytest.raises(NetworkAbsent, match=r"^This worker lacks network ward@1\.0\.0\. \S"):
        Networks("cpu", Registry(site))("ward@1.0.0")


def test_file_system_that_does_not_answer_is_no_fault_of_the_job(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_stale(path: Path) -> bool:
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "is_file", is_stale)

    with pytest.raises(NetworkAbsent, match=r"lacks network ward\. .*Stale file handle"):
        Networks("cpu", Registry(site))("ward")


def test_fresh_process_takes_its_threads_and_the_network_of_the_settings(
    settings: Settings,
) -> None:
    asked: list[str] = []

    prepare(asked.append, settings.model_copy(update={"threads": 1}))

    assert torch.get_num_threads() == 1
    assert asked == [settings.network]


def test_fresh_process_whose_network_is_absent_is_ready_for_jobs_by_others(
    settings: Settings, site: Path
) -> None:
    networks = Networks("cpu", Registry(site))

    prepare(networks, settings.model_copy(update={"network": "ward@9.0"}))

    assert networks("other").info.name == "maskrcnn-other"


def test_each_halving_of_a_batch_is_logged_once(site: Path) -> None:
    ward = Networks("cpu", Registry(site))("ward@1.0.0")
    hold_at_most(ward, 1)

    with capture_logs() as logs:
        ward.predict(np.zeros((8, 32, 32), np.float32))

    assert [(line["event"], line["network"], line["batch"]) for line in logs] == [
        ("network.batch_halved", "ward@1.0.0", 2),
        ("network.batch_halved", "ward@1.0.0", 1),
    ]


def test_network_that_the_gpu_has_no_room_for_is_tried_again_later(
    site: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def refuse(*_: object, **__: object) -> Segmenter:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 90.00 MiB.")

    monkeypatch.setattr("worker.gpu.load_path", refuse)
    networks = Networks("cpu", Registry(site))

    with pytest.raises(GpuMemory, match=r"^cpu has no memory for network ward@1\.0\.0\.$"):
        networks("ward")
    with capture_logs() as logs:
        prepare(networks, settings.model_copy(update={"network": "ward"}))

    assert [line["event"] for line in logs] == ["network.absent"]


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_device_that_this_machine_lacks_is_named(device: str, settings: Settings) -> None:
    with pytest.raises(MissingSetting, match=f"HILUM_DEVICE is '{device}', expected"):
        prepare(str, settings.model_copy(update={"device": device}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_network_runs_on_the_gpu_where_there_is_one(site: Path) -> None:
    assert Networks("auto", Registry(site))("ward").device.type == "cuda"
