# SPDX-License-Identifier: Apache-2.0
"""Which function runs which pipeline of the catalogue."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from hilum.catalogue import CT_LESIONS, PipelineCard
from hilum.findings import Analysis
from hilum.grading import MOSMED, Thresholds
from hilum.jobs import Progress, ignore_progress
from hilum.networks.maskrcnn import Segmenter
from hilum.pipelines import ct_lesions
from hilum.study import Study

Run = Callable[[Study, Segmenter, Thresholds, Progress], Analysis]
Networks = Callable[[str], Segmenter]
"""Answers a network by name and version, loaded and warm."""

RUNS: Final[Mapping[str, Run]] = MappingProxyType({CT_LESIONS.name: ct_lesions.run})


def run_pipeline(
    study: Study,
    card: PipelineCard,
    segmenter: Segmenter,
    thresholds: Thresholds = MOSMED,
    *,
    progress: Progress = ignore_progress,
) -> Analysis:
    """Run a pipeline of the catalogue over a study, and grade what it found."""
    return RUNS[card.name](study, segmenter, thresholds, progress)
