# SPDX-License-Identifier: Apache-2.0
"""Shapes that belong to no one noun: problems, pipelines, health."""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Integer, List, Nested, String

from api.schemas.fields import count, text


class ProblemJSON(Schema):
    """What went wrong (RFC 9457)."""

    type = text("Where this kind of problem is explained.", required=True)
    title = text("The same for every problem of this code.", required=True)
    status = count("HTTP status.", required=True)
    detail = text("A sentence about this problem.", required=True)
    code = text("Stable name for programs.", required=True)
    instance = text("Path that was asked for.", required=True)
    request_id = text("Under which the log has it.", required=True)
    errors = Dict(metadata={"description": "Sentences for each wrong field."})


class LabelJSON(Schema):
    """One class of a mask."""

    value = count("The number in the mask.", required=True)
    name = text("The field's term.", required=True)
    code = List(
        String(), required=True, metadata={"description": "Code value, coding scheme designator."}
    )
    color = List(Integer(), required=True, metadata={"description": "sRGB, 0..255 each."})


class PipelineJSON(Schema):
    """A pipeline that may be asked for."""

    name = text("As asked for in a request.", required=True)
    version = text("Changes whenever the same study could give another report.", required=True)
    modality = text("DICOM modality of the series it reads.", required=True)
    networks = List(
        String(), required=True, metadata={"description": "What it can run; the usual one first."}
    )
    network_versions = List(
        String(), required=True, metadata={"description": "Each version of them, `name@version`."}
    )
    labels = List(Nested(LabelJSON), required=True)
    intended_use = text("What its reports may be used for.", required=True)


class PipelinesJSON(Schema):
    """The catalogue."""

    items = List(Nested(PipelineJSON), required=True)


class HealthJSON(Schema):
    """That the server is well."""

    status = text("`ok`.", required=True)
    version = text("Version of Hilum.", required=True)
    paused = Boolean(
        metadata={"description": "Of readiness: whether a person has paused the whole queue."}
    )
