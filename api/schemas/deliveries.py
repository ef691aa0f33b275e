# SPDX-License-Identifier: Apache-2.0
"""Shapes of deliveries."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, List, Nested
from apiflask.validators import Regexp
from marshmallow import RAISE

from api.schemas.deidentification import AccountJSON
from api.schemas.fields import choice, count, text
from hilum.destinations import NAME, DeliveryState


class DeliveryJSON(Schema):
    """What a job left, on its way to one destination."""

    id = UUID(required=True)
    destination = text("Name of the archive.", required=True)
    state = choice(DeliveryState, "Where it stands.", required=True)
    attempts = count("How often it was tried.", required=True)
    objects = count("DICOM objects that the archive took.", required=True)
    deidentification = Nested(AccountJSON, required=True, allow_none=True)
    error = text("Why the last attempt came to nothing.", required=True, allow_none=True)
    due_at = AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When it is tried next; null once it has ended."},
    )
    delivered_at = AwareDateTime(required=True, allow_none=True)


class DeliveriesJSON(Schema):
    """The deliveries of a job."""

    items = List(Nested(DeliveryJSON), required=True)


class SendAgainJSON(Schema):
    """What to send once more."""

    class Meta:
        """A misspelt name would send it to everybody."""

        unknown = RAISE

    destination = text(
        "Name of the archive; all of the hospital's where absent.", validate=Regexp(f"^{NAME}$")
    )
