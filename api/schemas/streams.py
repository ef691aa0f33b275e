# SPDX-License-Identifier: Apache-2.0
"""Shapes of what streams carry."""

from apiflask import Schema
from apiflask.fields import UUID, Integer, Nested
from apiflask.validators import Range

from api.schemas.fields import choice, number, text
from api.schemas.jobs import EventJSON, SlicesJSON
from hilum.jobs import Stage

LAST_EVENT_ID = "Last-Event-ID"
"""The header in which a client that comes again names the last event it heard."""


class LastState(Schema):
    """What a client of one job heard last."""

    last_event_id = text(
        "Of the last event heard, where it had one: the state a job ended in.",
        data_key=LAST_EVENT_ID,
    )


class LastEvent(Schema):
    """What a client of a tenant heard last."""

    last_event_id = Integer(
        data_key=LAST_EVENT_ID,
        validate=Range(0, 2**63 - 1),
        metadata={"description": "Of the last event heard: those after it are sent first."},
    )


class After(Schema):
    """Where a client begins that has heard nothing yet."""

    after = Integer(
        validate=Range(0, 2**63 - 1),
        metadata={"description": "Id of an event: those after it are sent first."},
    )


class HappeningJSON(EventJSON):
    """One thing that happened to a job of a tenant."""

    job_id = UUID(required=True)


class ProgressJSON(Schema):
    """How far a running job is."""

    job_id = UUID(required=True)
    stage = choice([*Stage], "What it is doing.", required=True, allow_none=True)
    slices = Nested(SlicesJSON, required=True)
    fraction = number("Share of the job that is done, 0..1.", required=True)
    eta_s = number("Seconds until it is done.", required=True, allow_none=True)
