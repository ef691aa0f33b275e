"""Networks that learnt nothing, put into a site folder by the command that a hospital uses."""

from dataclasses import replace
from pathlib import Path

import torch
from click.testing import CliRunner

from cli.main import hilum
from hilum.networks.maskrcnn import Segmenter, build
from hilum.networks.weights import Card, read_card, write_card, write_tensors

SOURCES = {"Nothing": "CC0"}


def write_untrained(path: Path, *, version: str = "1.0.0") -> Path:
    """Write a weights file and its card, as a release does."""
    torch.manual_seed(11)
    sha256 = write_tensors(build("resnet50").state_dict(), path)
    card = Card(path.stem, version, "resnet50", sha256, data={"sources": SOURCES})
    write_card(replace(card, operating_point=0.4, metrics={"dice": {"value": 0.123}}), path)
    return path


def import_untrained(path: Path, site: Path, *, name: str) -> None:
    """Run `hilum weights import`."""
    arguments = ["weights", "import", str(path), "--site", str(site), "--name", name]
    result = CliRunner().invoke(hilum, arguments)
    assert result.exit_code == 0, result.output


def add_version(site: Path, name: str, version: str) -> None:
    """Put a newer card beside the tensors of 1.0.0, which a web server never reads."""
    old = site / f"{name}-1.0.0.safetensors"
    new = site / f"{name}-{version}.safetensors"
    new.hardlink_to(old)
    write_card(replace(read_card(old), version=version), new)


def hold_at_most(
    segmenter: Segmenter,
    slices: int,
    error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory."),  # noqa: B008 - never changed
) -> list[int]:
    """Let a forward pass over more slices run out of memory; return the sizes of the passes tried."""
    tried: list[int] = []

    def look(_part: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        tried.append(len(given[0]))
        if len(given[0]) > slices:
            raise error

    segmenter._network.backbone.register_forward_pre_hook(look)
    return tried
