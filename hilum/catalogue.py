# SPDX-License-Identifier: Apache-2.0
"""The pipelines as plain data: what may be asked for, without loading torch.

Which networks there are, shipped and a hospital's own, is `hilum.registry`'s to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hilum.errors import UnknownPipeline


@dataclass(frozen=True, slots=True)
class Label:
    """One class of a mask.

    Attributes:
        value: the number in the mask.
        name: the field's term, in lower case.
        code: coded concept as (value, scheme designator), PS3.16: SCT is SNOMED CT, DCM is DICOM.
        color: sRGB, 0..255 each, for overlays.
    """

    value: int
    name: str
    code: tuple[str, str]
    color: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PipelineCard:
    """What a pipeline is, for the catalogue, the API and the report.

    Attributes:
        name: as asked for in a request.
        version: changes whenever the same study could give another report.
        modality: DICOM modality of the series it reads.
        networks: names of the networks that ship for it; the first is the default.
        labels: classes of its mask.
        intended_use: one sentence, printed in every report.
        time_limit_s: a job running longer has gone wrong and is stopped; `HILUM_TASK_TIME_LIMIT_S`
            may stop it earlier.
    """

    name: str
    version: str
    modality: str
    networks: tuple[str, ...]
    labels: tuple[Label, ...]
    intended_use: str
    time_limit_s: int


GROUND_GLASS: Final = Label(1, "ground-glass opacity", ("112120", "DCM"), (64, 196, 255))
CONSOLIDATION: Final = Label(2, "consolidation", ("9656002", "SCT"), (255, 112, 67))

CT_LESIONS: Final = PipelineCard(
    name="ct-lesions",
    version="2.0.0",
    modality="CT",
    networks=("resnet50", "resnet101"),
    labels=(GROUND_GLASS, CONSOLIDATION),
    intended_use="For research. Not a medical device; not for diagnosis.",
    # 10,000 slices, the most of one upload, at 0.23 s each on two cores (docs/benchmarks.md) are
    # 38 minutes; half as long again for resnet101, and twice that where other programs run beside.
    time_limit_s=2 * 3600,
)

PIPELINES: Final[Mapping[str, PipelineCard]] = MappingProxyType({CT_LESIONS.name: CT_LESIONS})

RESULTS: Final = ("segmentation", "measurements", "key-image", "document")
"""The DICOM objects that every job leaves in its study: their names in the API, and as files."""


def pipeline_card(name: str) -> PipelineCard:
    """Return the card of a pipeline.

    Raises:
        UnknownPipeline: no pipeline has this name.
    """
    try:
        return PIPELINES[name]
    except KeyError:
        raise UnknownPipeline(
            f"There is no pipeline {name!r}; there is {', '.join(PIPELINES)}."
        ) from None
