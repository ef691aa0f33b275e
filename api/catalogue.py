# SPDX-License-Identifier: Apache-2.0
"""The pipelines over HTTP: what may be asked for."""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint

from api.auth import by_key
from api.parts import parts
from api.schemas.service import PipelinesJSON
from hilum.catalogue import PIPELINES, PipelineCard
from hilum.registry import AT, Registry

catalogue = APIBlueprint("catalogue", __name__, url_prefix="/v1/pipelines", tag="Pipelines")


@catalogue.get("")
@catalogue.auth_required(by_key)
@catalogue.output(PipelinesJSON)
def list_all() -> dict[str, Any]:
    """List the pipelines, with the networks each can run."""
    registry = Registry.at(parts().settings.weights)
    return {"items": [_pipeline(card, registry) for card in PIPELINES.values()]}


def _pipeline(card: PipelineCard, registry: Registry) -> dict[str, Any]:
    entries = registry.entries(card)
    usual = parts().settings.network.partition(AT)[0]
    names = dict.fromkeys(one.name for one in entries)
    return asdict(card) | {
        "networks": sorted(names, key=lambda name: name != usual),
        "network_versions": [one.id for one in entries],
    }
