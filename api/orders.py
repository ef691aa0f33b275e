# SPDX-License-Identifier: Apache-2.0
"""What a client asks to be done with a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from apiflask import Schema
from apiflask.fields import String
from apiflask.validators import Length, OneOf, Regexp
from marshmallow import RAISE, ValidationError

from api.callbacks import check_callback
from api.errors import explain
from hilum.catalogue import CT_LESIONS, PipelineCard, pipeline_card
from hilum.errors import InvalidRequest, MissingSetting, NetworkAbsent, UnknownNetwork
from hilum.jobs import Priority
from hilum.registry import Entry, Registry
from hilum.settings import Settings

PRINTABLE: Final = Regexp(r"^[\x21-\x7e]+$", error="Must be printable ASCII without spaces.")

ID: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""An id as text."""


class OrderJSON(Schema):
    """How a study is to be analysed."""

    class Meta:
        """A misspelt field is refused, not passed over."""

        unknown = RAISE

    pipeline = String(
        metadata={"description": f"Name of a pipeline; `{CT_LESIONS.name}` where absent."}
    )
    network = String(
        metadata={
            "description": "One of its networks: `name` for the newest version, or `name@version`;"
            " the installation's where absent."
        }
    )
    priority = String(
        validate=OneOf([priority.value for priority in Priority]),
        metadata={"description": f"`{Priority.ROUTINE}` where absent."},
    )
    callback_url = String(
        metadata={"description": "Address that is sent the job once it has ended.", "format": "uri"}
    )


class UploadOrderJSON(OrderJSON):
    """How a study is to be analysed that somebody follows together with others."""

    # Text, not a UUID: an order travels on as it was written.
    batch = String(
        validate=Regexp(rf"^{ID}$", error="Must be the id of a batch."),
        metadata={"description": "Id of an open batch that the job joins.", "format": "uuid"},
    )


class UploadHeaders(Schema):
    """Headers of an upload."""

    idempotency_key = String(
        data_key="Idempotency-Key",
        validate=[Length(1, 255), PRINTABLE],
        metadata={"description": "The same key is answered with the same job, however often sent."},
    )
    content_digest = String(
        data_key="Content-Digest",
        metadata={"description": "`sha-256=:<base64>:` of the body (RFC 9530); checked if sent."},
    )


@dataclass(frozen=True, slots=True)
class Order:
    """What a tenant wants done.

    Attributes:
        tenant_id: who asks.
        pipeline: what is to run.
        network_asked: by which network, in the tenant's words; None leaves it to the installation.
        priority: how urgent it is.
        callback_url: whom to tell at the end.
        idempotency_key: names this request among the tenant's.
        settings: of the installation, which has the networks.
        batch_id: what the job joins; None where nobody follows it together with others.
    """

    tenant_id: UUID
    pipeline: str
    network_asked: str | None
    priority: Priority
    callback_url: str | None
    idempotency_key: str | None
    settings: Settings
    batch_id: UUID | None = None

    @classmethod
    def of(
        cls,
        tenant_id: UUID,
        fields: Mapping[str, Any],
        *,
        idempotency_key: str | None,
        settings: Settings,
    ) -> Self:
        """Return the order that these fields of a request make.

        Raises:
            InvalidRequest: a field is unknown or malformed.
            UnknownPipeline, UnsafeCallback: it has a wrong value.
        """
        asked = _load(fields)
        callback_url = asked.get("callback_url")
        if callback_url is not None:
            check_callback(callback_url, allow_private=settings.callback_private)
        return cls(
            tenant_id=tenant_id,
            pipeline=pipeline_card(asked.get("pipeline", CT_LESIONS.name)).name,
            network_asked=asked.get("network"),
            priority=Priority(asked.get("priority", Priority.ROUTINE)),
            callback_url=callback_url,
            idempotency_key=idempotency_key,
            settings=settings,
            batch_id=UUID(asked["batch"]) if "batch" in asked else None,
        )

    def find_network(self) -> str:
        """Return the network that a new job would run by, as `name@version`.

        Raises:
            UnknownNetwork, BrokenWeights, NetworkAbsent: the network that was asked for is not there.
            MissingSetting: none was asked for, and the installation's usual one is not there.
        """
        card = pipeline_card(self.pipeline)
        if self.network_asked is None:
            return find_usual(self.settings, card).id
        return _find(self.network_asked, self.settings, card).id


def find_usual(settings: Settings, pipeline: PipelineCard) -> Entry:
    """Return the network that runs where a request names none.

    Raises:
        MissingSetting, BrokenWeights, NetworkAbsent: the installation lacks it.
    """
    try:
        return _find(settings.network, settings, pipeline)
    except UnknownNetwork as error:
        raise MissingSetting(f"HILUM_NETWORK: {error.message}") from error


def networks_for(pipeline: str, settings: Settings) -> list[str]:
    """Return what a pipeline may be run by, each as `name@version`; none while that is not known."""
    try:
        entries = Registry.at(settings.weights).entries(pipeline_card(pipeline))
    except NetworkAbsent:
        return []
    return [entry.id for entry in entries]


def _find(asked: str, settings: Settings, pipeline: PipelineCard) -> Entry:
    return Registry.at(settings.weights).find(asked, pipeline)


def _load(fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = UploadOrderJSON().load(dict(fields))
    except ValidationError as error:
        raise InvalidRequest(explain(dict(error.messages_dict))) from error
    return loaded
