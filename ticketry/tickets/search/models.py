"""What can be asked of the list of tickets, and how a page of it looks."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from ticketry.core.fields import NO_NUL, Instant, check_storable, parse_instant
from ticketry.core.lists import comma_separated
from ticketry.db.paging import Meta, PageIn
from ticketry.tickets.models import Status, TicketItem

SortBy = Literal["created_at", "updated_at", "due_date", "priority"]
NOBODY = "none"
_STATES: tuple[str, ...] = get_args(Status)
Statuses = Annotated[list[str] | None, *comma_separated(_STATES)]
Priorities = Annotated[list[str] | None, *comma_separated(("1", "2", "3", "4"))]
Words = Annotated[list[str] | None, *comma_separated(None)]
Ids = Annotated[list[str] | None, *comma_separated(None, 64)]
TagList = Annotated[list[str] | None, *comma_separated(None, 50)]
Flag = Annotated[Literal["true", "false"] | None, Field(description="`true` or `false`.")]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk through a list stands: the sort it belongs to and the last item's place in it."""

    sort_by: SortBy
    sort_order: Literal["asc", "desc"]
    value: str | int | None
    id: str

    def text(self) -> str:
        """The cursor as it is given to the caller, who must not look inside."""
        packed = json.dumps([self.sort_by, self.sort_order, self.value, self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @property
    def place(self) -> datetime | int | None:
        """The last item's sort value."""
        return parse_instant(self.value) if isinstance(self.value, str) else self.value


def read_cursor(text: str) -> Cursor:
    """The cursor in `text`. Raises if it is none of ours."""
    try:
        sort_by, order, value, id_ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = Cursor(sort_by, order, value, id_)
        by_number = sort_by == "priority"
        fits = isinstance(value, int) if by_number else value is None or isinstance(value, str)
        known = sort_by in get_args(SortBy) and order in {"asc", "desc"} and isinstance(id_, str)
        if not known or not fits or (value is None and sort_by != "due_date") or isinstance(value, bool):
            raise ValueError(text)
        check_storable(id_)
        _ = cursor.place
    except (ValueError, TypeError, RecursionError, PydanticCustomError):
        raise PydanticCustomError("cursor", "is not a cursor that this list gave") from None
    return cursor


def _known_cursor(text: str) -> str:
    read_cursor(text)
    return text


class TicketsAsked(PageIn):
    """Which tickets are asked for. All conditions hold at once; several values in one are alternatives."""

    status: Statuses = Field(None, description="One or more states, separated by commas.")
    priority: Priorities = Field(None, description="One or more of 1 to 4.")
    category: Words = Field(None, description="One or more categories.")
    assigned_to: Ids = Field(None, description="One or more users; `none` for tickets that nobody has.")
    contact_id: Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)] | None = None
    created_after: Instant | None = Field(None, description="Created at this instant or later.")
    created_before: Instant | None = Field(None, description="Created at this instant or earlier.")
    due_after: Instant | None = Field(None, description="Due at this instant or later.")
    due_before: Instant | None = Field(None, description="Due at this instant or earlier.")
    sla_breach: Flag = Field(
        None, description="`true`: response or resolution missed or overdue now; `false`: the rest."
    )
    tags: TagList = Field(None, description="Tags, separated by commas; all of them.")
    search: (
        Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL), AfterValidator(check_storable)] | None
    ) = Field(None, description='Words, parts of words, "phrases" and ticket numbers; all of them.')
    sort_by: SortBy = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    cursor: Annotated[str, Field(max_length=500), AfterValidator(_known_cursor)] | None = Field(
        None,
        description="`meta.next_cursor` of the page before: the next page, at any depth, whatever happens meanwhile.",
    )

    @property
    def after(self) -> Cursor | None:
        """Where the walk stands."""
        return None if self.cursor is None else read_cursor(self.cursor)


class TicketMeta(Meta):
    """What the list of tickets answers beside its items."""

    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; `null` at the end.")


class TicketPage(BaseModel):
    """One page of tickets."""

    data: list[TicketItem]
    meta: TicketMeta
