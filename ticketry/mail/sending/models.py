"""Mail out: who is told what, and what became of each mail."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import NO_NUL, Instant
from ticketry.db.paging import PageIn

NOTICE = "notice"
"""A mail to the workspace's admins about the workspace itself: no switch, no template."""

MailStatus = Literal["pending", "sent", "failed", "outbox", "skipped"]
RecipientType = Literal["contact", "user"]
Outcome = Literal["sent", "deferred", "failed"]


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
class Envelope:
    """How an attempt ended. `healthy` is false when the server itself could not be worked with."""

    outcome: Outcome
    code: int | None
    words: str
    healthy: bool = True
