# SPDX-License-Identifier: Apache-2.0
"""Networks side by side on the same slices, as the paper behind `ct-lesions` has them.

Source: Aleem, Raj, Khan 2020, arXiv 2008.09713.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import wilcoxon

from hilum.errors import ConfigurationError
from hilum.evaluation.cost import Cost
from hilum.evaluation.evaluate import Evaluation, Look, evaluate, judge
from hilum.evaluation.metrics import Interval, bootstrap, gather, mean
from hilum.training.folds import group_of

CHANCE = 0.05
"""A difference whose p value lies below counts as one."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One network and what it saw.

    Attributes:
        name: of the network.
        version: of its weights.
        sha256: of its weights; of each fold run, where runs out of fold were judged.
        looks: at the labelled slices, in the same order for all contenders.
        controls: looks at slices without lesions that it has not learnt.
        threshold: its operating point, 0..1.
        cost: what one look takes.
        learnt: names of labelled slices it was judged on though it had learnt them.
    """

    name: str
    version: str
    sha256: tuple[str, ...]
    looks: Sequence[Look]
    controls: Sequence[Look]
    threshold: float
    cost: Cost
    learnt: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One network in the table.

    Attributes:
        name: of the network.
        version: of its weights.
        sha256: of its weights.
        evaluation: how good it is.
        cost: what one look takes.
        learnt: names of labelled slices it was judged on though it had learnt them.
        dice: of each slice, in order.
    """

    name: str
    version: str
    sha256: tuple[str, ...]
    evaluation: Evaluation
    cost: Cost
    learnt: tuple[str, ...]
    dice: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One network less the first, slice by slice.

    Attributes:
        name: of the network.
        baseline: name of the first.
        dice: mean difference of a slice's Dice, over volumes drawn in pairs.
        p_value: of Wilcoxon's signed-rank test on the mean of each volume, two-sided; 1 where no
            volume differs.
    """

    name: str
    baseline: str
    dice: Interval
    p_value: float

    def sentence(self) -> str:
        """Say what the difference is and whether chance explains it."""
        verdict = "more than chance explains" if self.p_value < CHANCE else "within chance"
        return (
            f"{self.name} less {self.baseline}: Dice {self.dice.value:+.3f} a slice "
            f"({self.dice.low:+.3f} to {self.dice.high:+.3f}), Wilcoxon p = {self.p_value:.2g}, "
            f"{verdict}."
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table.

    Attributes:
        slices: names of the labelled slices.
        out_of_fold: whether runs judged that did not learn the slice, in place of one network.
        machine: where the seconds were taken.
        rows: the networks, the first the baseline.
        differences: every other network less the first.
    """

    slices: tuple[str, ...]
    out_of_fold: bool
    machine: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]

    @property
    def warnings(self) -> list[str]:
        """What makes figures of this table better than they are."""
        return [
            f"{row.name} has learnt {len(row.learnt)} of these {len(self.slices)} slices: its "
            "figures say how well it remembers, not how well it does."
            for row in self.rows
            if row.learnt
        ]


def compare_networks(
    contenders: Sequence[Contender], *, machine: str, out_of_fold: bool = False
) -> Comparison:
    """Judge each network at its own operating point and test the others against the first.

    Controls that one of them had to be spared, since it learnt them, are spared all.

    Raises:
        ConfigurationError: they did not see the same slices.
    """
    names = tuple(seen.example.name for seen in contenders[0].looks)
    for contender in contenders:
        _check_slices(contender, names)
    rows = tuple(_row(contender) for contender in _with_common_controls(contenders))
    groups = [group_of(name) for name in names]
    differences = tuple(difference(row, rows[0], groups) for row in rows[1:])
    return Comparison(names, out_of_fold, machine, rows, differences)


def difference(row: Row, baseline: Row, groups: Sequence[str]) -> Difference:
    """Compare two networks slice by slice, and test the volumes that slices are of."""
    pairs = [one - other for one, other in zip(row.dice, baseline.dice, strict=True)]
    means = [mean(of_volume) for of_volume in gather(pairs, groups).values()]
    return Difference(row.name, baseline.name, bootstrap(pairs, mean, groups), _p_value(means))


def _row(contender: Contender) -> Row:
    dice = [judge(seen, contender.threshold).lesions.f1 for seen in contender.looks]
    return Row(
        name=contender.name,
        version=contender.version,
        sha256=contender.sha256,
        evaluation=evaluate(contender.looks, contender.controls, contender.threshold),
        cost=contender.cost,
        learnt=tuple(contender.learnt),
        dice=tuple(dice),
    )


def _with_common_controls(contenders: Sequence[Contender]) -> list[Contender]:
    seen = [{one.example.name for one in contender.controls} for contender in contenders]
    common = set.intersection(*seen)
    return [
        replace(each, controls=[one for one in each.controls if one.example.name in common])
        for each in contenders
    ]


def _check_slices(contender: Contender, names: Sequence[str]) -> None:
    # Slices are compared in pairs, so their order matters, too.
    found = [seen.example.name for seen in contender.looks]
    if found != list(names):
        different = sorted(set(names) ^ set(found)) or found
        raise ConfigurationError(
            f"{contender.name}: slices {', '.join(different)} were not seen by every network in "
            "the same order, expected the same slices for all."
        )


def _p_value(differences: Sequence[float]) -> float:
    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences).pvalue)
