# SPDX-License-Identifier: Apache-2.0
"""Shape of an account of de-identification."""

from apiflask import Schema
from apiflask.fields import Dict, Integer, List, Nested, String

from api.schemas.fields import choice, count, text
from hilum.dicom.deidentify import Deed


class ChangeJSON(Schema):
    """One deed to one attribute, wherever it stood."""

    tag = text("(gggg,eeee).", required=True)
    keyword = text("As PS3.6 has it; empty where it has none.", required=True)
    deed = choice(Deed, "What was done.", required=True)
    count = count("How often.", required=True)


class AccountJSON(Schema):
    """What was done so that nobody is named: tags and numbers, never a value."""

    instances = count("Objects that were treated.", required=True)
    left_out = Dict(
        keys=String(),
        values=Integer(),
        required=True,
        metadata={"description": "Objects that the profile does not reach, by error code."},
    )
    counts = Dict(
        keys=String(),
        values=Integer(),
        required=True,
        metadata={"description": "How often each deed was done."},
    )
    changes = List(Nested(ChangeJSON), required=True)
