"""What can be asked of the list of tickets, and how a page of it looks."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ticketry.core.fields import NO_NUL, Instant, check_storable, parse_instant
from ticketry.db.paging import Meta, PageIn
from ticketry.tickets.models import Status, TicketItem

SortBy = Literal["created_at", "updated_at", "due_date", "priority"]
NOBODY = "none"
_MOST = 50


def _list_of(allowed: tuple[str, ...] | None, limit: int) -> Callable[[object], object]:
    """A comma-separated parameter, given once or more often, as a list of values that are allowed."""

    def split(value: object) -> object:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list):
            return value
        parts = list(dict.fromkeys(part.strip() for text in given for part in str(text).split(",")))
        if len(parts) > _MOST or not all(1 <= len(part) <= limit for part in parts):
            raise PydanticCustomError("list", "must be 1 to {most} values, separated by commas", {"most": _MOST})
        for part in parts:
            check_storable(part)
            if allowed and part not in allowed:
                raise PydanticCustomError(
                    "enum", "{part} is none of {allowed}", {"part": part, "allowed": ", ".join(allowed)}
                )
        return parts

    return split


def _schema(allowed: tuple[str, ...] | None, limit: int = 100) -> WithJsonSchema:
    one = "|".join(allowed) if allowed else rf"[^,\u0000]{{1,{limit}}}"
    return WithJsonSchema({"type": "string", "pattern": rf"^({one})(,({one}))*$"})


_STATES: tuple[str, ...] = get_args(Status)
_PRIORITIES = ("1", "2", "3", "4")
Statuses = Annotated[list[str] | None, BeforeValidator(_list_of(_STATES, 100)), _schema(_STATES)]
Priorities = Annotated[list[str] | None, BeforeValidator(_list_of(_PRIORITIES, 1)), _schema(_PRIORITIES)]
Words = Annotated[list[str] | None, BeforeValidator(_list_of(None, 100)), _schema(None)]
Ids = Annotated[list[str] | None, BeforeValidator(_list_of(None, 64)), _schema(None, 64)]
TagList = Annotated[list[str] | None, BeforeValidator(_list_of(None, 50)), _schema(None, 50)]
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


class TicketFilters(BaseModel):
    """Which tickets are asked for. All conditions hold at once; several values in one are alternatives."""

    model_config = ConfigDict(extra="forbid")

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


class TicketsAsked(TicketFilters, PageIn):
    """Which tickets are asked for, and which page of them."""

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
