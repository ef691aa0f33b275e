# SPDX-License-Identifier: Apache-2.0
"""Trained networks as they are judged: what they learnt from, and where they cut.

Released weights say so in their card, weights of a run in its record.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import load_file

from hilum.cards import CARD_SUFFIX, NetworkInfo, read_card
from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import Segmenter, build
from hilum.networks.weights import digest, pack, unpack
from hilum.training.run import Run, load_trained, read_run, record_path
from hilum.training.validation import IN_TRAINING


@dataclass(frozen=True, slots=True)
class Trained:
    """A weights file with what must be known to judge it fairly.

    Attributes:
        path: its weights.
        info: name, version, hash, and the operating point; a run has none of its own.
        learnt: names of the slices it learnt from, those without lesions included.
        held_out: names of those it was kept from, those without lesions included.
    """

    path: Path
    info: NetworkInfo
    learnt: frozenset[str]
    held_out: frozenset[str]

    def load(self, *, device: str = "auto") -> Segmenter:
        """Return the network, ready to look at slices."""
        return load_trained(self.path, device=device)

    def learnt_of(self, names: Collection[str]) -> list[str]:
        """Return those of some slices that it learnt from."""
        return sorted(self.learnt & set(names))


def read_trained(path: Path) -> Trained:
    """Read what is known of a weights file, from its card or else from its run's record."""
    if path.with_suffix(CARD_SUFFIX).exists():
        card = read_card(path)
        return Trained(
            path,
            card.info,
            _names(card.data, "learnt", "learnt_controls"),
            _names(card.data, "held_out", "held_out_controls"),
        )
    chain = stages(path)
    learnt = [name for run in chain for name in (*run.learnt, *run.learnt_controls)]
    last = chain[-1]
    return Trained(
        path,
        _info(path),
        frozenset(learnt),
        frozenset([*last.held_out, *last.held_out_controls]),
    )


def stages(weights: Path) -> list[Run]:
    """Return the run behind a weights file after the runs it went on from, the first one first."""
    run = read_run(weights)
    earlier = weights.with_name(run.start.partition(",")[0])
    if earlier == weights or not (earlier.suffix and record_path(earlier).exists()):
        return [run]
    return [*stages(earlier), run]


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
    """Return the run behind a weights file once no stage of it has learnt what it holds out.

    Raises:
        ConfigurationError: one has, so its figures would flatter.
    """
    chain = stages(weights)
    for run in chain:
        seen = sorted(set(run.learnt) & set(chain[-1].held_out))
        if seen:
            raise ConfigurationError(
                f"{weights.name} holds out {', '.join(seen)}, but {run.recipe.name} behind it has "
                "learnt them; expected slices that no stage of a run has learnt."
            )
    return chain[-1]


def load_packed(weights: Path, *, device: str = "auto") -> Segmenter:
    """Load the float32 weights of a run as they would be shipped: through int8 and back."""
    network = build(read_run(weights).recipe.backbone)
    network.load_state_dict(unpack(pack(load_file(weights))))
    return Segmenter(network, _info(weights), device=device)


def _info(weights: Path) -> NetworkInfo:
    return replace(IN_TRAINING, name=weights.stem, sha256=digest(weights))


def _fold(weights: Path) -> int | None:
    return read_run(weights).fold if record_path(weights).exists() else None


def _names(data: dict[str, object], *keys: str) -> frozenset[str]:
    """Gather the lists of names among a card's values; a hospital's card may hold others."""
    lists = [data.get(key) for key in keys]
    return frozenset(
        str(name) for names in lists if isinstance(names, Sequence | frozenset) for name in names
    )
