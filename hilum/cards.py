# SPDX-License-Identifier: Apache-2.0
"""What is known of a weights file: its card, JSON beside it, read by a strict schema without torch.

A card that lacks a field, has one more, or speaks of other images than this version shows its
networks is refused: a network that is asked about pictures it never saw answers all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from hilum.catalogue import CT_LESIONS, PIPELINES
from hilum.errors import BrokenWeights
from hilum.volume import LESION_WINDOW_HU

FAMILY: Final = "maskrcnn-"
"""Begins the names of cards: people ask for `resnet50`, a report says `maskrcnn-resnet50`."""

WEIGHTS_SUFFIX: Final = ".safetensors"
CARD_SUFFIX: Final = ".json"

LARGEST_CARD: Final = 1024 * 1024
"""Bytes; a card that names every slice it learnt from has some thirty thousand."""

SHA256: Final = r"^[0-9a-f]{64}$"
NAME: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
VERSION: Final = r"^(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){0,3}$"
"""Numbers and dots: which of two versions is the newer needs no guessing."""

BACKBONE: Final = r"^resnet(50|101)$"
"""A worker builds no other; a test holds it to `hilum.networks.maskrcnn.BACKBONES`."""

LONGEST_COMPLAINT: Final = 300
"""Characters of what is said of a card: it may come from anywhere, and the sentence goes to logs."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes a network's input, and what kind of network takes it.

    Attributes:
        window_hu: Hounsfield units that become 0 and 1.
        input_px: longer side of the image inside the network.
        mean, std: subtracted from, then divided into, each of three channels.
        architecture: changes whenever the tensors of a network, or their meaning, do.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    window_hu: tuple[float, float]
    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    architecture: int


SERVED: Final = Preprocessing(
    window_hu=LESION_WINDOW_HU,
    input_px=384,
    mean=(1 / 6,) * 3,
    std=(4 / 3,) * 3,
    architecture=2,
)
"""What this version does; a test holds it to `hilum.networks.maskrcnn`. Architecture 1 had no
dense head."""


MAX_PROPOSALS: Final = 100
"""What the proposal network gives at most, for each slice."""

PROPOSALS: Final = 16
"""How many of them the heads look into, the likeliest first: as good as all of them once the
operating point fits, and faster (`python -m benchmarks.with_data.proposals`)."""


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """What a report must remember of the network that wrote it.

    Attributes:
        name: as in `maskrcnn-resnet50`.
        version: of the weights.
        sha256: of the weights file, hexadecimal.
        window_hu: Hounsfield units that became 0 and 1 in the images it saw.
        input_px: longer side of the image inside the network.
        proposals: most boxes a slice that its heads look into.
        operating_point: probability from which a pixel counts as lesion, 0..1.
    """

    name: str
    version: str
    sha256: str
    window_hu: tuple[float, float]
    input_px: int
    proposals: int
    operating_point: float


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of one weights file.

    Attributes:
        name: `FAMILY` and the name that people ask for.
        version: of the weights, one to four numbers joined by dots.
        backbone: one of `hilum.networks.maskrcnn.BACKBONES`.
        sha256: of the file, hexadecimal.
        pipeline: of the catalogue; the one that can use it.
        labels: class names, by the number in a label map; the pipeline's own.
        preprocessing: of the images it learnt from.
        proposals: most boxes a slice that its heads look into.
        operating_point: probability from which a pixel counts as lesion, between 0 and 1, with
            so many proposals: with more of them the same lesion gathers more votes.
        recipe: what decided the training.
        data: what was learnt from and what was held out; its `sources` name the terms of each.
        metrics: what was measured, and on what.
        intended_use: what it is for.
        limits: what it was not shown or does badly.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=NAME, max_length=64)]
    version: Annotated[str, Field(pattern=VERSION)]
    backbone: Annotated[str, Field(pattern=BACKBONE)]
    sha256: Annotated[str, Field(pattern=SHA256)]
    pipeline: str = CT_LESIONS.name
    labels: dict[str, str] = field(
        default_factory=lambda: {str(label.value): label.name for label in CT_LESIONS.labels}
    )
    preprocessing: Preprocessing = SERVED
    proposals: Annotated[int, Field(gt=0, le=MAX_PROPOSALS)] = PROPOSALS
    operating_point: Annotated[float, Field(gt=0, lt=1)] = 0.5
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=lambda: {"sources": {}})
    metrics: dict[str, Any] = field(default_factory=dict)
    intended_use: str = "Research; not for diagnosis."
    limits: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """The name that people ask for."""
        return self.name.removeprefix(FAMILY)

    @property
    def licences(self) -> Mapping[str, str]:
        """The terms of each source of data."""
        sources: Mapping[str, str] = self.data["sources"]
        return sources

    @property
    def dice(self) -> float | None:
        """Mean Dice of slices it did not learn from, 0..1; None where nobody measured it."""
        measured = self.metrics.get("dice")
        value = measured.get("value") if isinstance(measured, dict) else measured
        # JSON knows numbers that no float holds.
        return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1 else None

    @property
    def info(self) -> NetworkInfo:
        """The part that a report remembers."""
        return NetworkInfo(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            window_hu=self.preprocessing.window_hu,
            input_px=self.preprocessing.input_px,
            proposals=self.proposals,
            operating_point=self.operating_point,
        )


def read_card(path: Path) -> Card:
    """Read the card beside a weights file.

    Raises:
        BrokenWeights: there is none, it does not follow the schema, or it speaks of other images
            or classes than this version serves.
    """
    beside = path.with_suffix(CARD_SUFFIX)
    return _read_text(_load(beside), beside)


# Every order asks for the same few; the bytes are part of the key, so one that was replaced is new.
@lru_cache(maxsize=64)
def _read_text(text: bytes, beside: Path) -> Card:
    values = _values(text, beside.name)
    _check_file(values, beside)
    card = _parse(values, beside.name)
    _check_sources(card, beside.name)
    _check_labels(card)
    _check_preprocessing(card)
    return card


def write_card(card: Card, path: Path) -> None:
    """Write a card beside its weights file, with the file's own name in it."""
    beside = path.with_suffix(CARD_SUFFIX)
    values = {"file": f"{path.stem}{WEIGHTS_SUFFIX}"} | asdict(card)
    beside.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _load(beside: Path) -> bytes:
    try:
        with beside.open("rb") as stream:
            text = stream.read(LARGEST_CARD + 1)
    except OSError as error:
        raise _refused(beside.name, f"no readable card ({error.strerror})") from error
    if len(text) > LARGEST_CARD:
        raise _refused(beside.name, f"expected a card of at most {LARGEST_CARD} bytes")
    return text


def _values(text: bytes, name: str) -> dict[str, Any]:
    try:
        values = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _refused(name, f"no readable card ({error})") from error
    if not isinstance(values, dict):
        raise _refused(name, f"found {type(values).__name__}, expected an object")
    return values


def _check_file(values: dict[str, Any], beside: Path) -> None:
    """Take the file's name off the values of a card and compare it."""
    # A default helps whoever writes a card; whoever reads one must not guess.
    expected = ["file", *(each.name for each in fields(Card))]
    missing = [name for name in expected if name not in values]
    if missing:
        raise _refused(beside.name, f"lacks {', '.join(missing)}")
    own = f"{beside.stem}{WEIGHTS_SUFFIX}"
    if values.pop("file") != own:
        raise _refused(beside.name, f"is the card of another file, expected {own}")


def _parse(values: dict[str, Any], name: str) -> Card:
    try:
        # JSON has no tuples, and only from JSON does a strict schema take lists for them.
        return _schema().validate_json(to_json(values), strict=True)
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise _refused(name, "; ".join(problems)) from error


@cache
def _schema() -> TypeAdapter[Card]:
    return TypeAdapter(Card)


def _check_sources(card: Card, name: str) -> None:
    sources = card.data.get("sources")
    found = sources.values() if isinstance(sources, dict) else [sources]
    if not isinstance(sources, dict) or not all(isinstance(one, str) for one in found):
        kinds = ", ".join(sorted({type(one).__name__ for one in found}))
        raise _refused(
            name, f"data.sources holds {kinds}, expected the licence of each source by its name"
        )


def _check_labels(card: Card) -> None:
    pipeline = PIPELINES.get(card.pipeline)
    if pipeline is None:
        raise _refused(card.name, f"is for another pipeline, expected {', '.join(PIPELINES)}")
    expected = {str(label.value): label.name for label in pipeline.labels}
    if card.labels != expected:
        raise _refused(card.name, f"has other labels than {card.pipeline}, expected {expected}")


def _check_preprocessing(card: Card) -> None:
    found, expected = asdict(card.preprocessing), asdict(SERVED)
    different = [
        f"{name} {found[name]}, expected {expected[name]}"
        for name in expected
        if found[name] != expected[name]
    ]
    if different:
        raise _refused(
            f"{card.name} {card.version}", f"its preprocessing has {'; '.join(different)}"
        )


def _refused(name: str, complaint: str) -> BrokenWeights:
    """Say what is wrong with a card, by kinds and names: what it says may be anything."""
    if len(complaint) > LONGEST_COMPLAINT:
        complaint = f"{complaint[: LONGEST_COMPLAINT - 1]}…"
    return BrokenWeights(f"{name}: {complaint}.")
