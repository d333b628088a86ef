"""What a workspace may set about its mail, and how mails are worded."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ticketry.accounts.users.models import Email
from ticketry.core.fields import Instant, StrictModel, text

CustomerKind = Literal["received", "replied", "resolved", "reopened"]
AgentKind = Literal["assigned", "customer_replied", "sla_warning", "sla_breached"]
Kind = Literal[CustomerKind, AgentKind]
"""What a mail tells. Each has a switch and a template."""
CUSTOMER_KINDS: tuple[CustomerKind, ...] = ("received", "replied", "resolved", "reopened")
AGENT_KINDS: tuple[AgentKind, ...] = ("assigned", "customer_replied", "sla_warning", "sla_breached")
KINDS: tuple[Kind, ...] = (*CUSTOMER_KINDS, *AGENT_KINDS)

Values = dict[str, Any]
"""What a template may use: plain texts only, one dict a group."""


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
        description="Address whose mail Ticketry reads. Answers go there, to an address that names the ticket.",
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


@dataclass(frozen=True, slots=True)
class About:
    """What a mail may tell of its ticket."""

    number: str
    subject: str
    status: str
    priority: str
    category: str | None
    description: str
    note: str | None
    contact_id: str | None
    """Whose ticket it is now."""
    contact_name: str | None
    agent_name: str | None
    target: str | None = None
    due_at: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """What a workspace has set."""

    enabled: bool = True
    sender_address: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    inbound_address: str | None = None
    kinds_off: list[str] = field(default_factory=list)
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, once."""

    subject: str
    text: str
    html: str
