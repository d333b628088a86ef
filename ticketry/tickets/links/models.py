"""Links: what one ticket is to another of its workspace."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import Id, StrictModel
from ticketry.tickets.models import Status

OwnType = Literal["follow_up_of", "duplicate_of", "related_to"]
LinkType = Literal["follow_up_of", "followed_up_by", "duplicate_of", "duplicated_by", "related_to"]
BACK: dict[LinkType, LinkType] = {
    "follow_up_of": "followed_up_by",
    "followed_up_by": "follow_up_of",
    "duplicate_of": "duplicated_by",
    "duplicated_by": "duplicate_of",
    "related_to": "related_to",
}
"""What a link is called from its other end."""


class LinkIn(StrictModel):
    """A new link from the ticket in the path to another one."""

    type: Annotated[OwnType, Field(description="What the ticket in the path is to the other.")]
    ticket_id: Id = Field(description="The other ticket's id or number.", examples=["TICK-1200"])


class LinkEnd(BaseModel):
    """A ticket that a chain of duplicates leads to."""

    ticket_id: str
    number: str = Field(examples=["TICK-1200"])


class Link(BaseModel):
    """A link, as one of its two tickets sees it."""

    type: LinkType = Field(description="What this ticket is to the other.")
    ticket_id: str = Field(description="The other ticket.")
    number: str = Field(examples=["TICK-1200"])
    subject: str
    status: Status
    original: LinkEnd | None = Field(
        description="Of `duplicate_of`: the ticket at the end, where the other one is a duplicate itself."
    )
