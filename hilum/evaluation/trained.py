# SPDX-License-Identifier: Apache-2.0
"""Trained networks as they are judged: what they learnt from, and where they cut.

Released weights say so in their card, weights of a run in its record.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from safetensors.torch import load_file

from hilum.cards import CARD_SUFFIX, WEIGHTS_SUFFIX, Card, NetworkInfo, read_card
from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import Segmenter, build
from hilum.networks.weights import FOLDER, digest, pack, unpack
from hilum.training.data import Example
from hilum.training.folds import group_of
from hilum.training.run import FROM_BACKBONE, Run, load_trained, read_run, record_path, run_info

Stage: TypeAlias = Run | Card
"""What is known of one stage of training; a card speaks of all stages before it, too."""

LEARNT = ("learnt", "learnt_controls")
"""Where records and cards name the slices that were learnt, with lesions and without."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A weights file with what must be known to judge it fairly.

    Who has learnt one slice of a volume knows its neighbours, so volumes are counted, not slices.

    Attributes:
        path: its weights.
        info: name, version, hash, and the operating point; a run has none of its own.
        stages: of its training, the first one first.
    """

    path: Path
    info: NetworkInfo
    stages: tuple[Stage, ...]

    def load(self, *, device: str = "auto") -> Segmenter:
        """Return the network, ready to look at slices."""
        return load_trained(self.path, device=device)

    def learnt_of(self, names: Collection[str]) -> list[str]:
        """Return those of some slices that it is known to have learnt from."""
        learnt = frozenset[str]().union(*(_past(stage).learnt for stage in self.stages))
        return sorted(name for name in names if group_of(name) in learnt)

    def held_out_of(self, examples: Iterable[Example]) -> list[Example]:
        """Return those of some slices that it was kept from."""
        kept = _past(self.stages[-1]).held_out
        return [one for one in self.unseen_of(examples) if group_of(one.name) in kept]

    def unseen_of(self, examples: Iterable[Example]) -> list[Example]:
        """Return those of some slices that no stage may have learnt."""
        pasts = [_past(stage) for stage in self.stages]
        return [
            one
            for one in examples
            if not any(past.may_know(one.name, ill=bool(one.labels.any())) for past in pasts)
        ]


@dataclass(frozen=True, slots=True)
class _Past:
    """What one stage says of the volumes that it read.

    Attributes:
        learnt: volumes it learnt from.
        held_out: volumes it was kept from.
        names_lesions: whether it names all the slices with lesions that it learnt.
        names_controls: likewise of those without.
    """

    learnt: frozenset[str]
    held_out: frozenset[str]
    names_lesions: bool
    names_controls: bool

    def may_know(self, name: str, *, ill: bool) -> bool:
        group = group_of(name)
        if group in self.learnt:
            return True
        # Older cards give a count in place of names: all may be meant that were not held out.
        is_told = self.names_lesions if ill else self.names_controls
        return not is_told and group not in self.held_out


def read_trained(path: Path) -> Trained:
    """Read what is known of a weights file, from its card or else from its run's record.

    Raises:
        ConfigurationError: nothing is known of it, or of what its run went on from.
    """
    chain = stages(path)
    last = chain[-1]
    return Trained(path, last.info if isinstance(last, Card) else run_info(path), chain)


def stages(weights: Path) -> tuple[Stage, ...]:
    """Return what is known of the training behind a weights file, the first stage first.

    Raises:
        ConfigurationError: nothing is known of it, or of what its run went on from.
    """
    if weights.with_suffix(CARD_SUFFIX).exists():
        return (read_card(weights),)
    run = read_run(weights)
    if run.start == FROM_BACKBONE:
        return (run,)
    return (*stages(_earlier(weights, run.start)), run)


def fold_weights(runs: Path, recipe: str) -> list[Path]:
    """Return the weights of a recipe's fold runs in a folder, by fold.

    Raises:
        ConfigurationError: there are none.
    """
    found = [path for path in runs.glob(f"{recipe}-fold-*.safetensors") if _fold(path) is not None]
    if not found:
        raise ConfigurationError(
            f"{runs}: no {recipe}-fold-*.safetensors with their .run.json, expected one a fold."
        )
    return sorted(found, key=lambda path: _fold(path) or 0)


def check_unseen(weights: Path) -> Run:
    """Return the run behind a weights file once no stage of it can have learnt what it holds out.

    Raises:
        ConfigurationError: one has, so its figures would flatter, or what it went on from is not
            known.
    """
    run = read_run(weights)
    for stage in stages(weights):
        past = _past(stage)
        seen = [name for name in run.held_out if past.may_know(name, ill=True)]
        if seen:
            raise ConfigurationError(
                f"{weights.name} holds out {', '.join(seen)}, but {stage_name(stage)} behind it "
                "has learnt them or may have; expected slices that no stage of a run has learnt."
            )
    return run


def stage_name(stage: Stage) -> str:
    """Return how a stage is called: by its recipe, or by its card."""
    return stage.name if isinstance(stage, Card) else stage.recipe.name


def names_of(chain: Sequence[Stage], key: str) -> list[str] | None:
    """Return the slices that all stages name under a key, once each; None if one names none."""
    lists = [_names(stage, key) for stage in chain]
    every = [name for names in lists for name in names or ()]
    return None if None in lists else list(dict.fromkeys(every))


def load_packed(weights: Path, *, device: str = "auto") -> Segmenter:
    """Load the float32 weights of a run as they would be shipped: through int8 and back."""
    network = build(read_run(weights).recipe.backbone)
    network.load_state_dict(unpack(pack(load_file(weights))))
    return Segmenter(network, run_info(weights), device=device)


def _fold(weights: Path) -> int | None:
    return read_run(weights).fold if record_path(weights).exists() else None


def _earlier(weights: Path, start: str) -> Path:
    """Find what a run went on from by its hash, beside the run or among the shipped networks."""
    name, _, sha256 = start.partition(", SHA-256 ")
    folders = (weights.parent, FOLDER)
    files = {path for folder in folders for path in folder.glob(f"*{WEIGHTS_SUFFIX}")} - {weights}
    # The name is a hint that spares reading the other files.
    for path in sorted(files, key=lambda each: (each.name != name, each)):
        if _is_known(path) and digest(path) == sha256:
            return path
    raise ConfigurationError(
        f"{weights.name} went on from {start}: found no such file with a card or a run's record in "
        f"{' or '.join(map(str, folders))}, expected one, since it says what was learnt before."
    )


def _is_known(weights: Path) -> bool:
    return weights.with_suffix(CARD_SUFFIX).exists() or record_path(weights).exists()


def _past(stage: Stage) -> _Past:
    learnt, controls = (_names(stage, key) for key in LEARNT)
    held_out, kept = _names(stage, "held_out"), _names(stage, "held_out_controls")
    return _Past(
        learnt=_groups(learnt, controls),
        held_out=_groups(held_out, kept),
        names_lesions=learnt is not None,
        names_controls=controls is not None,
    )


def _groups(*lists: Sequence[str] | None) -> frozenset[str]:
    return frozenset(group_of(name) for names in lists for name in names or ())


def _names(stage: Stage, key: str) -> Sequence[str] | None:
    """Return the slices that a stage names under a key; None where a card names none."""
    found = stage.data.get(key) if isinstance(stage, Card) else getattr(stage, key)
    return [str(name) for name in found] if isinstance(found, list | tuple) else None
