"""Deliveries: what is listed, asked for and stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import NO_NUL, Instant, StrictModel
from ticketry.db.paging import PageIn

DeliveryStatus = Literal["pending", "delivered", "dead"]


class Attempt(BaseModel):
    """One call of the endpoint."""

    number: int
    started_at: Instant
    duration_ms: int
    status_code: int | None
    answer: str | None = Field(description="The first KiB of the answer.")
    error: str | None = Field(description="What went wrong, in plain words; `null` is success.")


class Delivery(BaseModel):
    """One event for one webhook."""

    id: str = Field(examples=["delivery_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    webhook_id: str
    event_id: str
    event_type: str
    ticket_id: str | None
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: Instant | None = Field(description="When it is tried next; `null` when it is settled.")
    event_timestamp: Instant
    created_at: Instant
    settled_at: Instant | None = Field(description="When it was delivered or given up.")
    attempts: list[Attempt] = Field([], description="The last 100 attempts, oldest first.")


class EndpointDeliveriesAsked(PageIn):
    """Which deliveries of one webhook are asked for."""

    status: Annotated[DeliveryStatus | None, Field(description="Only these.")] = None
    event_type: Annotated[str | None, Field(max_length=64, pattern=NO_NUL, description="Of events of this type.")] = (
        None
    )
    ticket_id: Annotated[str | None, Field(max_length=64, pattern=NO_NUL, description="About this ticket.")] = None
    since: Annotated[Instant | None, Field(description="Of events from this instant on.")] = None


class DeliveriesAsked(EndpointDeliveriesAsked):
    """Which deliveries are asked for."""

    webhook_id: Annotated[str | None, Field(max_length=64, pattern=NO_NUL, description="To this webhook.")] = None


class RedeliverIn(StrictModel):
    """What to send once more."""

    since: Instant = Field(description="Everything that happened from this instant on.")


class Redelivered(BaseModel):
    """What was queued."""

    queued: int = Field(description="Deliveries that will be sent; those that waited anyway are not counted.")
    complete: bool = Field(description="`false` if there is more: call again with `since` set to `next_since`.")
    next_since: Instant | None = Field(description="The instant of the first event that was not looked at.")


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery about to be stored. All else is taken from the event."""

    workspace_id: str
    id: str
    endpoint_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent."""

    pending: int
    oldest: datetime | None
