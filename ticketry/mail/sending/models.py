"""Mail out: what a workspace may set, and what became of each mail."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ticketry.accounts.users.models import Email
from ticketry.core.fields import NO_NUL, Instant, StrictModel, text
from ticketry.db.paging import PageIn

CustomerKind = Literal["received", "replied", "resolved", "reopened"]
AgentKind = Literal["assigned", "customer_replied", "sla_warning", "sla_breached"]
Kind = Literal[CustomerKind, AgentKind]
"""What a mail tells. Each has a switch and a template."""
CUSTOMER_KINDS: tuple[CustomerKind, ...] = ("received", "replied", "resolved", "reopened")
AGENT_KINDS: tuple[AgentKind, ...] = ("assigned", "customer_replied", "sla_warning", "sla_breached")
KINDS: tuple[Kind, ...] = (*CUSTOMER_KINDS, *AGENT_KINDS)
NOTICE = "notice"
"""A mail to the workspace's admins about the workspace itself: no switch, no template."""

MailStatus = Literal["pending", "sent", "failed", "outbox", "skipped"]
RecipientType = Literal["contact", "user"]
Outcome = Literal["sent", "deferred", "failed"]


class Switches(StrictModel):
    """Which mails are sent; those left out stay as they are."""

    received: bool = Field(True, description="To the customer: the ticket has arrived.")
    replied: bool = Field(True, description="To the customer: a public reply.")
    resolved: bool = Field(True, description="To the customer: resolved or closed, with the resolution note.")
    reopened: bool = Field(True, description="To the customer: the ticket is open again.")
    assigned: bool = Field(True, description="To the agent who got the ticket.")
    customer_replied: bool = Field(True, description="To the assigned agent: the customer has written.")
    sla_warning: bool = Field(True, description="To the assigned agent, else the admins: a promise is near its end.")
    sla_breached: bool = Field(True, description="To the assigned agent, else the admins: a promise is broken.")


class MailSettingsIn(StrictModel):
    """A change of a workspace's mail settings: fields left out stay, `null` clears an address or name."""

    enabled: bool = Field(True, description="`false` sends no mail at all.")
    sender_address: Email | None = Field(None, description="Whom mail comes from; `null` is the operator's address.")
    sender_name: Annotated[str, text(100)] | None = Field(
        None, description="The name beside it; `null` is the branding's, else the workspace's."
    )
    reply_to: Email | None = Field(None, description="Where answers go; `null` is the sender, or the inbound address.")
    inbound_address: Email | None = Field(
        None,
        description="Address whose mail Ticketry reads. Answers go there, with the ticket's signed name in the address.",
    )
    switches: Switches = Switches()


class MailSettings(BaseModel):
    """How a workspace sends mail."""

    enabled: bool
    sender_address: str | None
    sender_name: str | None
    reply_to: str | None
    inbound_address: str | None
    switches: Switches
    delivery: Literal["smtp", "outbox"] = Field(
        description="`outbox`: mail is kept and not sent, because no SMTP server is set or this is a test workspace."
    )
    updated_at: Instant | None = Field(description="`null` until something is set.")


Subject = Annotated[str, text(500), Field(description="One line; the ticket's tag is put before it.")]
BodyText = Annotated[str, text(20_000), Field(description="What mail programs without HTML show.")]
TicketReference = Annotated[str, text(64)]
BodyHtml = Annotated[str, text(50_000), Field(description="A whole HTML document.")]


class TemplateIn(StrictModel):
    """A template of one's own."""

    subject: Subject
    text: BodyText
    html: BodyHtml


class PreviewIn(StrictModel):
    """What to preview: the template in force, with these parts instead, about a ticket or sample data."""

    subject: Subject | None = None
    text: BodyText | None = None
    html: BodyHtml | None = None
    ticket_id: TicketReference | None = Field(None, description="Id or number; sample data if left out.")


class Template(BaseModel):
    """How one kind of mail is worded."""

    kind: Kind
    audience: Literal["customer", "agent"]
    custom: bool = Field(description="Whether the workspace has one of its own.")
    subject: str
    text: str
    html: str
    variables: list[str] = Field(description="What the template may use, for instance `ticket.number`.")
    updated_at: Instant | None


class Preview(BaseModel):
    """A mail as it would be."""

    subject: str
    text: str
    html: str


class Attempt(BaseModel):
    """One try to hand a mail to the SMTP server."""

    attempt: int
    at: Instant
    duration_ms: int
    outcome: Outcome
    code: int | None = Field(description="The SMTP server's, `null` if it did not answer.")
    words: str = Field(description="The server's answer, or what went wrong.")


class MessageItem(BaseModel):
    """A mail in a list."""

    id: str = Field(examples=["mail_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    kind: str
    status: MailStatus
    reason: str | None = Field(description="Why it is not sent, in words.")
    ticket_id: str | None
    event_id: str | None
    recipient_type: RecipientType
    recipient_id: str
    address: str | None = Field(description="`null` until it is first tried.")
    subject: str | None
    attempts: int
    next_attempt_at: Instant | None
    created_at: Instant
    sent_at: Instant | None


class MessageObject(MessageItem):
    """A mail with what it says and every attempt to send it."""

    message_id: str | None
    headers: list[tuple[str, str]] = Field(description="As they were written, before encoding.")
    text: str | None
    html: str | None
    tries: list[Attempt]


class MessagesAsked(PageIn):
    """Which mails are asked for."""

    status: MailStatus | None = Field(None, description="Only those in this state.")
    ticket_id: Annotated[str, Field(max_length=64, pattern=NO_NUL)] | None = Field(
        None, description="Only those about this ticket: its id or number."
    )


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that this process has taken for one attempt. `attempts` counts it, and fences what is settled later."""

    workspace_id: str
    id: str
    kind: str
    ticket_id: str | None
    event_id: str | None
    comment_id: str | None
    recipient_type: RecipientType
    recipient_id: str
    wanted: bool
    attempts: int
    attempts_before: int
    created_at: datetime
    address: str | None
    message_id: str | None
    headers: list[list[str]] | None
    subject: str | None
    body_text: str | None
    body_html: str | None


@dataclass(frozen=True, slots=True)
class News:
    """What planning needs to know of an event, and of who might be told."""

    workspace_id: str
    event_id: str
    type: str
    change: str
    """Names the change: events of one change tell a person of it once."""
    at: datetime
    actor_type: str
    actor_id: str
    ticket_id: str
    contact_id: str | None
    assigned_to: str | None
    comment_id: str | None
    visibility: str | None
    author_type: str | None
    from_status: str | None
    note: str | None
    target: str | None
    silent: bool
    """A machine sent it."""
    contact_reachable: bool
    agent_reachable: bool
    enabled: bool
    kinds_off: list[str]


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to be written."""

    workspace_id: str
    kind: str
    recipient_type: RecipientType
    recipient_id: str
    ticket_id: str | None = None
    event_id: str | None = None
    comment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, once."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """How an attempt ended. `healthy` is false when the server itself could not be worked with."""

    outcome: Outcome
    code: int | None
    words: str
    healthy: bool = True


Values = dict[str, Any]
"""What a template may use: plain texts only, one dict a group."""
