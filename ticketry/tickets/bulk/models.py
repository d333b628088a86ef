"""Bulk: many operations on tickets in one request."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import NO_NUL, StrictModel, text
from ticketry.tickets.comments.models import Comment
from ticketry.tickets.models import TicketObject
from ticketry.web.problems import ErrorBody

Action = Literal["close", "reopen", "update", "comment"]
MOST = 100
"""Operations of one request."""


class Operation(StrictModel):
    """One thing to do with one ticket."""

    action: Action
    ticket_id: Annotated[
        str, text(64), Field(description="The ticket's id or its number.", examples=["ticket_abc123xyz789", "TICK-1"])
    ]
    params: Annotated[
        dict[str, Any] | None,
        Field(description="What the single call takes as its body.", examples=[{"root_cause": "system_error"}]),
    ] = None
    if_match: Annotated[
        str | None,
        Field(max_length=200, pattern=NO_NUL, description="What the single call takes as its `If-Match`."),
    ] = None


class BulkIn(StrictModel):
    """Operations, done each by itself; those on the same ticket in the order given."""

    operations: Annotated[list[Operation], Field(min_length=1, max_length=MOST)]


class Result(BaseModel):
    """What the single call would have answered: `data`, or `error` if it was refused."""

    status: int = Field(description="The HTTP status of the single call.", examples=[200])
    data: TicketObject | Comment | None = Field(None, description="The ticket, or the comment that was made.")
    etag: str | None = Field(None, description="The ticket's `ETag` after the change.")
    error: ErrorBody | None = None


class Results(BaseModel):
    """One result for each operation, in the order of the operations."""

    data: list[Result]
