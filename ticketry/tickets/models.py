"""Tickets: what a caller may send, what is stored, and the published ticket object."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ticketry.attachments.models import AttachmentIds
from ticketry.core.fields import (
    LARGEST_FLOAT,
    NO_NUL,
    Id,
    Instant,
    StrictModel,
    Tags,
    check_number,
    check_storable,
    json_object,
    text,
)

Status = Literal[
    "new",
    "open",
    "in_progress",
    "waiting_on_customer",
    "waiting_on_third_party",
    "resolved",
    "closed",
    "reopened",
]
SatisfactionSource = Literal["api", "agent", "customer"]
PRIORITY_LABELS = {1: "Critical", 2: "High", 3: "Normal", 4: "Low"}
MAX_KEYS = 50
MAX_CUSTOM_BYTES = 16 * 1024
MAX_METADATA = 500


def _check_metadata(value: Any) -> Any:
    """The whole of it in one look: a wrong value is one error, whatever it might have been."""
    if not isinstance(value, dict) or len(value) > MAX_KEYS:
        return value
    for key, item in value.items():
        check_storable(key)
        if not 1 <= len(key) <= MAX_METADATA:
            raise PydanticCustomError("key", "must have keys of 1 to {most} characters", {"most": MAX_METADATA})
        if isinstance(item, str) and len(check_storable(item)) > MAX_METADATA:
            message = "{key}: must be at most {most} characters"
            raise PydanticCustomError("string_too_long", message, {"key": key[:100], "most": MAX_METADATA})
        if not isinstance(item, str | int | float | None):
            raise PydanticCustomError(
                "scalar", "{key}: must be a string, a number, a boolean or null", {"key": key[:100]}
            )
        check_number(item)
    return value


Subject = Annotated[str, text(200), Field(description="What it is about, in a line.", examples=["Refund not received"])]
Description = Annotated[
    str,
    text(10_000),
    Field(description="The whole story. Markdown.", examples=["I was charged **twice** for order 1042."]),
]
Priority = Annotated[int, Field(ge=1, le=4, description="1 Critical, 2 High, 3 Normal, 4 Low.")]
Category = Annotated[str, text(100), Field(description="What kind of problem it is.", examples=["billing"])]
CustomFields = Annotated[
    dict[str, Any],
    Field(max_length=MAX_KEYS, description="Fields of your own: at most 50, 16 KiB as JSON."),
    json_object(MAX_CUSTOM_BYTES),
]
Metadata = Annotated[
    dict[str, Any],
    Field(max_length=MAX_KEYS, description="Notes of your program: at most 50 keys, strings to 500 characters."),
    BeforeValidator(_check_metadata),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_KEYS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA, "pattern": NO_NUL},
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "maxLength": MAX_METADATA, "pattern": NO_NUL},
                    {"type": "number", "minimum": -LARGEST_FLOAT, "maximum": LARGEST_FLOAT},
                    {"type": "boolean"},
                    {"type": "null"},
                ]
            },
            "description": "Notes of your program: at most 50 keys, strings to 500 characters, numbers, booleans.",
        }
    ),
]
Note = Annotated[
    str,
    text(5_000, 0),
    Field(
        description="What was done. Markdown, shown to the customer.",
        examples=["Refund of $99.99 processed successfully."],
    ),
]
Satisfaction = Annotated[int, Field(ge=1, le=10, description="How content the customer is, 1 to 10.", examples=[9])]
WorkMinutes = Annotated[int, Field(ge=0, le=5_256_000, description="Minutes of actual work.", examples=[45])]
RootCause = Annotated[str, text(100), Field(description="Category for analytics.", examples=["system_error"])]
Reason = Annotated[str, text(5_000), Field(description="Why.", examples=["The customer reports the problem again."])]
InternalNote = Annotated[str, text(10_000), Field(description="A note that customers never see.")]


class TicketIn(StrictModel):
    """A new ticket."""

    subject: Subject
    description: Description
    priority: Priority | None = 3
    status: Literal["new", "open", "in_progress"] | None = "new"
    category: Category | None = None
    contact_id: Id | None = Field(None, description="The customer; must exist in the workspace.")
    conversation_id: Id | None = Field(None, description="A conversation elsewhere; kept, not checked.")
    assigned_to: Id | None = Field(None, description="The user who works on it; must exist and be active.")
    due_date: Instant | None = None
    tags: Tags | None = None
    custom_fields: CustomFields | None = None
    metadata: Metadata | None = None
    attachment_ids: AttachmentIds | None = None


class TicketPatch(StrictModel):
    """A change of a ticket: fields left out stay, `null` clears a field that can be empty."""

    subject: Subject = ""
    description: Description = ""
    priority: Priority = 3
    status: Annotated[
        Status, Field(description="`closed` closes and `reopened` reopens, exactly as those calls do.")
    ] = "open"
    category: Category | None = None
    contact_id: Id | None = None
    conversation_id: Id | None = None
    assigned_to: Id | None = None
    due_date: Instant | None = None
    tags: Annotated[Tags | None, Field(description="Replaces the tags.")] = None
    custom_fields: Annotated[
        CustomFields | None,
        Field(description="Merged into the present ones; a `null` value removes the key."),
    ] = None
    metadata: Annotated[Metadata | None, Field(description="Replaces the metadata.")] = None
    internal_note: InternalNote | None = None


class CloseIn(StrictModel):
    """What a close may record. Every field is optional; `null` is the same as leaving it out."""

    resolution_note: Note | None = None
    customer_satisfaction: Satisfaction | None = None
    resolution_time: WorkMinutes | None = None
    root_cause: RootCause | None = None


class ReopenIn(StrictModel):
    """Why a ticket is reopened."""

    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it is stored, its SLA clock included. Rules take one and give the next."""

    workspace_id: str
    id: str
    number: int
    version: int
    subject: str
    description: str
    priority: int
    status: Status
    category: str | None
    contact_id: str | None
    conversation_id: str | None
    assigned_to: str | None
    assigned_name: str | None
    follow_up_of: str | None
    due_date: datetime | None
    created_at: datetime
    updated_at: datetime
    sla_since: datetime
    tags: list[str] = field(default_factory=list)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    resolution_note: str | None = None
    customer_satisfaction: int | None = None
    satisfaction_source: SatisfactionSource | None = None
    resolution_time: int | None = None
    root_cause: str | None = None
    reopen_count: int = 0
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    sla_policy_id: str = "sla_default"
    sla_policy_version: int = 1
    response_spent: int = 0
    resolution_spent: int = 0
    response_due_at: datetime | None = None
    resolution_due_at: datetime | None = None
    first_response_at: datetime | None = None
    response_completed_at: datetime | None = None
    resolution_completed_at: datetime | None = None
    response_met: bool | None = None
    resolution_met: bool | None = None
    sla_paused: bool = False
    next_alarm_at: datetime | None = None
    alarms: int = 0

    @property
    def paused(self) -> bool:
        """Whether the resolution clock is paused."""
        return self.sla_paused


class Sla(BaseModel):
    """How the ticket stands against its promises."""

    response_met: bool | None = Field(description="`null` while open and in time, or where there is no target.")
    resolution_met: bool | None = Field(description="`null` while open and in time, or where there is no target.")
    response_due_at: Instant | None
    resolution_due_at: Instant | None = Field(description="`null` while the clock is paused.")
    first_response_at: Instant | None
    breached: bool
    paused: bool


class TicketItem(BaseModel):
    """A ticket in a list."""

    id: str = Field(examples=["ticket_abc123xyz789"])
    number: str = Field(examples=["TICK-1234"])
    subject: str
    priority: int
    priority_label: Literal["Critical", "High", "Normal", "Low"]
    status: Status
    category: str | None
    contact_id: str | None
    conversation_id: str | None
    assigned_to: str | None
    assigned_name: str | None
    follow_up_of: str | None = Field(description="The closed ticket that this one goes on from.")
    due_date: Instant | None
    tags: list[str]
    custom_fields: dict[str, Any]
    metadata: dict[str, Any]
    resolution_note: str | None
    customer_satisfaction: int | None
    satisfaction_source: SatisfactionSource | None
    resolution_time: int | None
    root_cause: str | None
    sla: Sla
    reopen_count: int
    created_at: Instant
    updated_at: Instant
    resolved_at: Instant | None
    closed_at: Instant | None


class TicketObject(TicketItem):
    """One problem to be solved."""

    description: str


class ResolutionActor(BaseModel):
    """Who closed."""

    type: Literal["user", "key", "contact", "system"]
    id: str
    name: str


class ResolutionSla(BaseModel):
    """The SLA results of one close: final."""

    response_met: bool | None
    resolution_met: bool | None
    response_due_at: Instant | None
    resolution_due_at: Instant | None
    first_response_at: Instant | None


class Resolution(BaseModel):
    """What one close recorded. It never changes, whatever happens to the ticket."""

    id: str = Field(examples=["res_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    ticket_id: str
    cycle: int = Field(description="1 for the first close, one more for each reopening before it.")
    resolution_note: str | None
    customer_satisfaction: int | None
    satisfaction_source: SatisfactionSource | None
    resolution_time: int | None
    root_cause: str | None
    agent_id: str | None = Field(description="The assignee at the moment of the close.")
    agent_name: str | None
    closed_by: ResolutionActor
    sla: ResolutionSla
    resolved_at: Instant = Field(description="When the cycle was first resolved: the instant that the SLA counts.")
    closed_at: Instant


class One(BaseModel):
    """One ticket."""

    data: TicketObject
