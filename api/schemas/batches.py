# SPDX-License-Identifier: Apache-2.0
"""Shapes of batches."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Boolean, Dict, Integer, List, Nested, String
from apiflask.validators import Length

from api.orders import OrderJSON
from api.schemas.fields import count, number, text
from db.batches import MOST_STUDIES

LONGEST_LABEL = 200


class BatchOrderJSON(OrderJSON):
    """What is asked for many studies at once."""

    study_ids = List(
        UUID(),
        load_default=list,
        validate=Length(max=MOST_STUDIES),
        metadata={
            "description": "Studies that are kept already; none opens a batch that uploads join."
        },
    )
    label = text("What you call it.", validate=Length(1, LONGEST_LABEL))


class BatchLinksJSON(Schema):
    """Where to go from a batch; null where there is nothing to do."""

    self = text("This batch.", required=True)
    jobs = text("Its jobs.", required=True)
    close = text("POST here lets no more studies join.", required=True, allow_none=True)
    cancel = text("DELETE here stops it.", required=True, allow_none=True)


class ListedBatchJSON(Schema):
    """A batch in a list."""

    id = UUID(required=True)
    label = text("What its hospital calls it.", required=True, allow_none=True)
    open = Boolean(required=True, metadata={"description": "Whether uploads may join it."})
    total = count("How many jobs it has.", required=True)
    jobs = Dict(
        keys=String(),
        values=Integer(),
        required=True,
        metadata={"description": "How many of them are in each state."},
    )
    fraction = number("Share of its work that is done, 0..1.", required=True)
    finished = Boolean(
        required=True,
        metadata={"description": "Whether no study joins it any more and all its jobs have ended."},
    )
    created_at = AwareDateTime(required=True)
    links = Nested(BatchLinksJSON, required=True)


class BatchJSON(ListedBatchJSON):
    """A batch."""

    eta_s = number(
        "Seconds until its last job is done; null when all have ended or nothing is known yet.",
        required=True,
        allow_none=True,
    )


class BatchesJSON(Schema):
    """One page of batches."""

    items = List(Nested(ListedBatchJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)


class BatchPollHeaders(Schema):
    """When to ask for a batch again."""

    retry_after = count(
        "Seconds until it is worth asking again; absent once the batch is finished.",
        data_key="Retry-After",
    )


class BatchHeaders(BatchPollHeaders):
    """Where to ask for a batch, and when."""

    location = text("Where the batch is.", data_key="Location", required=True)
