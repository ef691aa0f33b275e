# SPDX-License-Identifier: Apache-2.0
"""The pipelines over HTTP: what may be asked for."""

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint

from api.auth import by_key
from api.schemas.service import PipelinesJSON
from hilum.catalogue import PIPELINES

catalogue = APIBlueprint("catalogue", __name__, url_prefix="/v1/pipelines", tag="Pipelines")


@catalogue.get("")
@catalogue.auth_required(by_key)
@catalogue.output(PipelinesJSON)
def list_all() -> dict[str, Any]:
    """List the pipelines, with the networks each can run."""
    return {"items": [asdict(card) for card in PIPELINES.values()]}
