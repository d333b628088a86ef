"""An event: an immutable fact that is history, audit line, webhook payload and feed entry in one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ticketry.core.actor import Actor
from ticketry.core.fields import Instant

EventType = Literal[
    "ticket.created",
    "ticket.updated",
    "ticket.assigned",
    "ticket.status_changed",
    "ticket.resolved",
    "ticket.closed",
    "ticket.reopened",
    "ticket.commented",
    "ticket.rated",
    "ticket.sla_warning",
    "ticket.sla_breached",
    "ticket.erased",
    "contact.erased",
    "retention.erased",
    "webhook.disabled",
]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact about to be recorded. `data` is JSON text, made once and used for the row and for whoever reads it.

    One without a `ticket_id` is about the workspace.
    """

    id: str
    type: EventType
    ticket_id: str | None
    actor: Actor
    at: datetime
    data: str


class EventActor(BaseModel):
    """Who caused the event."""

    type: Literal["user", "key", "contact", "system"]
    id: str
    name: str


class Event(BaseModel):
    """One thing that happened, to a ticket or (without `ticket_id`) to something else of the workspace."""

    event_id: str = Field(examples=["evt_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    event_type: EventType
    timestamp: Instant
    ticket_id: str | None
    actor: EventActor
    data: dict[str, Any] = Field(
        description="`ticket` as it stood after the change, `changes` as `{field: {from, to}}`, and what the type adds."
    )
