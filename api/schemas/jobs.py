# SPDX-License-Identifier: Apache-2.0
"""Shapes of jobs."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Boolean, Dict, Float, List, Nested, String

from api.schemas.fields import choice, count, number, text
from hilum.jobs import Priority, Stage, State


class SlicesJSON(Schema):
    """How many slices are segmented."""

    done = count("Slices done.", required=True)
    total = count("Slices to do.", required=True)


class FailureJSON(Schema):
    """Why a job failed."""

    code = text("Stable name for programs.", required=True)
    message = text("A sentence for people.", required=True)


class JobLinksJSON(Schema):
    """Where to go from a job; null where there is nothing to do or to see."""

    self = text("This job.", required=True)
    study = text("What it reads.", required=True)
    events = text("What happened to it.", required=True)
    stream = text("What happens to it, as it happens.", required=True)
    report = text("Its report, once it has succeeded.", required=True, allow_none=True)
    deliveries = text("Where its results were sent.", required=True, allow_none=True)
    cancel = text("DELETE here stops it.", required=True, allow_none=True)
    retry = text("POST here tries it again.", required=True, allow_none=True)
    prioritise = text("PATCH here makes it more or less urgent.", required=True, allow_none=True)
    rerun = text("POST here runs its study again.", required=True)
    regrade = text(
        "POST here grades its report by other thresholds.", required=True, allow_none=True
    )
    page = text("A page for people; opens without a key for one hour.", required=True)


class ListedJobJSON(Schema):
    """A job in a list."""

    id = UUID(required=True)
    study_id = UUID(required=True)
    study_uid = text("StudyInstanceUID.", required=True)
    pipeline = text("What runs.", required=True)
    network = text("Which network it runs, as `name@version`.", required=True)
    priority = choice(Priority, "How urgent it is.", required=True)
    state = choice(State, "Where it stands.", required=True)
    stage = choice([*Stage], "What it is doing.", required=True, allow_none=True)
    slices = Nested(SlicesJSON, required=True)
    fraction = number("Share of the job that is done, 0..1.", required=True)
    attempts = count(
        "Times a worker has taken it, those aside that lacked its network or were stopped.",
        required=True,
    )
    cancel_requested = Boolean(required=True)
    error = Nested(FailureJSON, required=True, allow_none=True)
    timings_s = Dict(
        keys=String(),
        values=Float(),
        required=True,
        metadata={"description": "Seconds of each stage."},
    )
    expected_s = number(
        "Seconds it was expected to take when it was queued, waiting included; null where"
        " nothing was known.",
        required=True,
        allow_none=True,
    )
    created_at = AwareDateTime(required=True)
    queued_at = AwareDateTime(
        required=True,
        metadata={"description": "When it was submitted, or last tried again by a person."},
    )
    started_at = AwareDateTime(required=True, allow_none=True)
    finished_at = AwareDateTime(required=True, allow_none=True)
    links = Nested(JobLinksJSON, required=True)


class JobJSON(ListedJobJSON):
    """A job."""

    queue_position = count(
        "Jobs served before this one; null when it does not wait.", required=True, allow_none=True
    )
    eta_s = number(
        "Seconds until it is done, from the speed of recent jobs; null when it has ended or"
        " nothing is known yet.",
        required=True,
        allow_none=True,
    )


class PollHeaders(Schema):
    """When to ask for a job again."""

    retry_after = count(
        "Seconds until it is worth asking again; absent once the job has ended.",
        data_key="Retry-After",
    )


class JobHeaders(PollHeaders):
    """Where to ask for a job, and when."""

    location = text("Where the job is.", data_key="Location", required=True)


class EventJSON(Schema):
    """One thing that happened to a job."""

    at = AwareDateTime(required=True)
    event = text("What happened.", required=True)
    detail = Dict(required=True)


class EventsJSON(Schema):
    """What happened to a job, oldest first."""

    items = List(Nested(EventJSON), required=True)


class JobsJSON(Schema):
    """One page of jobs."""

    items = List(Nested(ListedJobJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)
