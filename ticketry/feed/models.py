"""What can be asked of the feed, and what it hands on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field

from ticketry.core.fields import NO_NUL
from ticketry.core.lists import comma_separated
from ticketry.db.paging import whole_number
from ticketry.events.models import Event, EventType

LONGEST_WAIT = 30
"""Seconds that a call may wait for news."""
MOST = 500
TYPES: tuple[str, ...] = get_args(EventType)
_Reference = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]


class Place(NamedTuple):
    """Where an event stands in its workspace's feed."""

    transaction: int
    position: int


BEGINNING = Place(0, 0)


class FeedAsked(BaseModel):
    """Which events are asked for."""

    model_config = ConfigDict(extra="forbid")

    after: _Reference | None = Field(
        None, description="The last event seen; without it the feed begins with the first."
    )
    types: Annotated[list[str] | None, *comma_separated(TYPES)] = Field(
        None, description="Types of events, separated by commas."
    )
    ticket_id: _Reference | None = Field(None, description="Events of this ticket only; its number will do.")
    limit: Annotated[int, Field(ge=1, le=MOST), whole_number] = Field(100, description="Events an answer, at most.")
    wait: Annotated[int, Field(ge=0, le=LONGEST_WAIT), whole_number] = Field(
        0, description="Seconds to wait if there is nothing new."
    )


class FeedMeta(BaseModel):
    """Where the reader stands now."""

    next_after: str | None = Field(
        description="Send it as `after` next time, also when no event came: events of other types were passed over."
    )
    has_more: bool = Field(description="Whether there may be more right now.")


class FeedPage(BaseModel):
    """The next events of the feed, oldest first."""

    data: list[Event]
    meta: FeedMeta


@dataclass(frozen=True, slots=True)
class Settled:
    """An event whose place in the feed is final, on its way to the subscribers."""

    workspace_id: str
    id: str
    type: str
    ticket_id: str | None
    actor_type: str
    actor_id: str
    created_at: datetime
