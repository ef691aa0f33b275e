# SPDX-License-Identifier: Apache-2.0
"""Streams over HTTP: one job until it has ended, or all that happens to the jobs of a tenant."""

from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request, stream_with_context

from api.auth import by_key, tenant_id
from api.parts import parts
from api.schemas.fields import Responses
from api.schemas.streams import After, LastEvent, LastState
from api.streams import sse
from api.streams.line import Line
from api.streams.listener import JobNews, Listener
from api.streams.speech import Teller, speak
from api.streams.tellers import OfJob, OfTenant
from db.feed import Feed
from db.jobs import job_for
from db.outlook import look_ahead

streams = APIBlueprint("streams", __name__, url_prefix="/v1", tag="Streams")

EVENT: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
    "required": ["event", "data"],
}
"""The fields of one event; `data` is JSON."""

EVENTS: Final[Responses] = {
    200: {
        "description": "Server-Sent Events.",
        "content": {sse.MEDIA_TYPE: {"schema": EVENT}},
    }
}
HEARD: Final[Responses] = {
    204: {"description": "The job has ended, and the client has heard so.", "content": {}}
}


@streams.get("/jobs/<uuid:job_id>/stream")
@streams.auth_required(by_key)
@streams.input(LastState, location="headers", arg_name="last")
@streams.doc(responses=EVENTS | HEARD)
def job(job_id: UUID, last: dict[str, Any]) -> Response:
    """Follow a job until it has ended.

    An event `job` carries the job at once, whenever it changed, and while it runs at least once a
    second.
    """
    with parts().sessions.begin() as session:
        row = job_for(session, tenant_id(), job_id)
        outlook = look_ahead(session, row)
    if row.is_final and last.get("last_event_id") == row.state:
        # The one answer after which a browser does not connect again by itself.
        return Response(status=204)
    listener = parts().streams.listen(tenant_id(), job_id)
    listener.hear(JobNews(row, outlook))
    return _stream(listener, OfJob())


@streams.get("/stream")
@streams.auth_required(by_key)
@streams.input(LastEvent, location="headers", arg_name="last")
@streams.input(After, location="query", arg_name="query")
@streams.doc(responses=EVENTS)
def everything(last: dict[str, Any], query: dict[str, Any]) -> Response:
    """Follow all jobs of a tenant.

    Each thing that happens to a job is an event of that name with an id; what was missed since
    `Last-Event-ID`, or else since `after`, comes first. An event `progress` says how far each running job is.
    """
    # The hub looked before, or looks later: what happens from here on is told, and told once. An id
    # that is yet to come is of another database, and would hide all that happens until then.
    newest = _position()
    after = min(last.get("last_event_id", query.get("after", newest)), newest)
    listener = parts().streams.listen(tenant_id())
    return _stream(listener, OfTenant(tenant_id(), parts().sessions, after=after))


def _position() -> int:
    with parts().sessions.begin() as session:
        return Feed.begin(session).position


def _stream(listener: Listener, teller: Teller) -> Response:
    hub = parts().streams
    words = speak(listener, Line.of(request.environ), teller)
    answer = Response(stream_with_context(words), mimetype=sse.MEDIA_TYPE)
    # Nginx would hold events back until it has a page of them.
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(lambda: hub.leave(listener))
    return answer
