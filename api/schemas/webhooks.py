# SPDX-License-Identifier: Apache-2.0
"""Shapes of webhooks."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Boolean, List, Nested, String
from apiflask.validators import Length, OneOf
from marshmallow import RAISE

from api.callbacks import LONGEST
from api.schemas.fields import choice, count, number, text
from hilum.destinations import DeliveryState
from hilum.webhooks import EVENTS


class ListedWebhookJSON(Schema):
    """A webhook in a list."""

    id = UUID(required=True)
    url = text(
        "Where to; null in the one that signs for the `callback_url` of jobs.",
        required=True,
        allow_none=True,
    )
    events = List(
        choice(EVENTS),
        required=True,
        metadata={"description": "What it gets; every event where the list is empty."},
    )
    old_secret_until = AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "How long the secret before signs too; null where none does."},
    )
    disabled_at = AwareDateTime(required=True, allow_none=True)
    disabled_reason = text("Why nothing is sent there any more.", required=True, allow_none=True)
    created_at = AwareDateTime(required=True)


class WebhookJSON(ListedWebhookJSON):
    """A server that is told how jobs ended."""


class SecretWebhookJSON(WebhookJSON):
    """A webhook with its secret, which is shown this once."""

    secret = text("Signs what is sent; `whsec_` and base64.", required=True)


class WebhooksJSON(Schema):
    """The webhooks of a hospital."""

    items = List(Nested(ListedWebhookJSON), required=True)


class WebhookChangeJSON(Schema):
    """What is to be changed about a webhook."""

    class Meta:
        """A misspelt field is refused, not passed over."""

        unknown = RAISE

    url = String(
        validate=Length(1, LONGEST),
        metadata={"description": "Where to: http or https, in a public network.", "format": "uri"},
    )
    events = List(
        String(validate=OneOf(EVENTS)),
        validate=Length(max=len(EVENTS)),
        metadata={"description": "What it gets; every event, those of later too, where empty."},
    )
    enabled = Boolean(metadata={"description": "Whether anything is sent there."})


class NewWebhookJSON(WebhookChangeJSON):
    """A server that is to be told how jobs end."""

    class Meta:
        """One that is to be disabled need not be made."""

        exclude = ("enabled",)
        unknown = RAISE

    url = String(
        required=True,
        validate=Length(1, LONGEST),
        metadata={"description": "Where to: http or https, in a public network.", "format": "uri"},
    )


class PingJSON(Schema):
    """What came of a test."""

    delivered = Boolean(required=True, metadata={"description": "Whether it answered 200-299."})
    status = count("HTTP status; null where nothing came back.", required=True, allow_none=True)
    error = text("Why it does not count as taken.", required=True, allow_none=True)
    seconds = number("How long it took.", required=True)


class ListedNoticeJSON(Schema):
    """A delivery in the log of a webhook."""

    id = UUID(required=True, metadata={"description": "`webhook-id` of every attempt."})
    job_id = UUID(required=True)
    event = choice(EVENTS, "What happened.", required=True)
    state = choice(DeliveryState, "Where it stands.", required=True)
    attempts = count("How often it was tried.", required=True)
    status = count("HTTP status of the last answer.", required=True, allow_none=True)
    error = text("Why the last attempt came to nothing.", required=True, allow_none=True)
    created_at = AwareDateTime(required=True, metadata={"description": "When it happened."})
    due_at = AwareDateTime(
        required=True,
        allow_none=True,
        attribute="next_at",
        metadata={"description": "When it is tried next; null once it has ended."},
    )
    delivered_at = AwareDateTime(required=True, allow_none=True)


class NoticeJSON(ListedNoticeJSON):
    """How a job ended, on its way to a webhook."""


class NoticesJSON(Schema):
    """One page of what was, is and will be sent to a webhook."""

    items = List(Nested(ListedNoticeJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)
