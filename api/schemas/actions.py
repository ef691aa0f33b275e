# SPDX-License-Identifier: Apache-2.0
"""Shapes of what is done with jobs that are there."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from apiflask import Schema
from apiflask.fields import UUID, Enum, Integer, List, Nested, String
from apiflask.validators import Length, Range
from marshmallow import RAISE, ValidationError, validates_schema

from api.lists import LONGEST_CURSOR, NETWORK, JobFilterJSON
from api.schemas.fields import count, text
from db.pages import LARGEST_PAGE
from hilum.grading import LONGEST_VERSION
from hilum.jobs import Priority

MOST_IDS: Final = 1000
"""Of one call; each job has a transaction of its own, so they take seconds."""


class Action(StrEnum):
    """What may be done with a job that is there."""

    CANCEL = "cancel"
    RETRY = "retry"
    PRIORITISE = "prioritise"
    RERUN = "rerun"
    REGRADE = "regrade"


OWN: Final[Mapping[str, frozenset[Action]]] = {
    "priority": frozenset({Action.PRIORITISE, Action.RERUN}),
    "network": frozenset({Action.RERUN}),
    "thresholds": frozenset({Action.REGRADE}),
}
"""Fields that belong to some actions alone."""


def _priority(note: str, **options: Any) -> Enum[Priority]:
    return Enum(Priority, by_value=True, metadata={"description": note}, **options)


class PriorityJSON(Schema):
    """How urgent a job is to be."""

    class Meta:
        """A misspelt field is refused, not passed over."""

        unknown = RAISE

    priority = _priority("From now on.", required=True)


class RerunJSON(Schema):
    """How a study is to be run again."""

    class Meta:
        """A misspelt field is refused, not passed over."""

        unknown = RAISE

    network = String(
        validate=NETWORK,
        metadata={
            "description": "`name` for the newest version, or `name@version`; the installation's"
            " where absent."
        },
    )
    priority = _priority("That of the job where absent.")


class ThresholdsJSON(Schema):
    """By which thresholds a report is to be graded."""

    class Meta:
        """A misspelt field is refused, not passed over."""

        unknown = RAISE

    thresholds = String(
        validate=Length(1, LONGEST_VERSION),
        metadata={"description": "Their version; the present ones where absent."},
    )


class BulkJSON(Schema):
    """What is to be done with many jobs."""

    class Meta:
        """A misspelt filter, passed over, would mean every job."""

        unknown = RAISE

    action = Enum(Action, by_value=True, required=True)
    job_ids = List(
        UUID(), validate=Length(1, MOST_IDS), metadata={"description": "These; or `filter`."}
    )
    filter = Nested(
        JobFilterJSON, metadata={"description": "Those that meet it, the oldest first."}
    )
    cursor = String(
        validate=Length(1, LONGEST_CURSOR),
        metadata={"description": "With `filter`: `next_cursor` of the call before."},
    )
    limit = Integer(
        load_default=LARGEST_PAGE,
        validate=Range(0, LARGEST_PAGE),
        metadata={"description": "With `filter`: most jobs of this call; 0 only counts them."},
    )
    priority = _priority("Of `prioritise` and `rerun`.")
    network = String(validate=NETWORK, metadata={"description": "Of `rerun`."})
    thresholds = String(
        validate=Length(1, LONGEST_VERSION), metadata={"description": "Of `regrade`."}
    )

    @validates_schema
    def _check(self, asked: Mapping[str, Any], **_more: Any) -> None:
        if ("job_ids" in asked) == ("filter" in asked):
            raise ValidationError("Expected either job_ids or filter.", "job_ids")
        if "filter" in asked and not asked["filter"]:
            raise ValidationError("Expected at least one field: it would mean every job.", "filter")
        for field, actions in OWN.items():
            if field in asked and asked["action"] not in actions:
                raise ValidationError(f"Is no field of {asked['action']}.", field)
        if asked["action"] is Action.PRIORITISE and "priority" not in asked:
            raise ValidationError("Expected with prioritise.", "priority")


class RefusedJSON(Schema):
    """A job that was left as it is."""

    id = UUID(required=True)
    code = text("Stable name for programs.", required=True)
    message = text("A sentence for people.", required=True)


class DoneJSON(Schema):
    """What was done with many jobs."""

    done = List(UUID(), required=True, metadata={"description": "Jobs it was done with."})
    made = List(
        UUID(),
        required=True,
        metadata={"description": "Of `rerun`: the jobs that run them again, in the same order."},
    )
    refused = List(Nested(RefusedJSON), required=True)
    left = count("Jobs that meet the filter and were not reached.", required=True)
    next_cursor = text(
        "To go on with those; null where none are left.", required=True, allow_none=True
    )
