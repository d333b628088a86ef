"""Mail in: what is told of a mail that came."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import NO_NUL, Instant
from ticketry.db.paging import PageIn
from ticketry.mail.receiving.reading.read_mail import ReadMail

Outcome = Literal["ticket", "comment", "follow_up", "stored"]
MatchedBy = Literal["references", "address", "subject"]
Source = Literal["api", "imap", "command"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that has been read and whose files are in the file store: ready to become something."""

    mail_id: str
    mail: ReadMail
    size: int
    source: Source
    files: list[str] = field(default_factory=list)
    """Ids of attachments, free to be attached."""
    text_file: str | None = None
    """The attachment that holds the whole text, where it is longer than a comment."""
    raw_file: str | None = None
    """The attachment that holds the mail as it came, where that is to be kept with the ticket."""
    own_addresses: tuple[str, ...] = ()
    """Addresses that this installation sends from, beside those of the workspace."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A mail as it is stored. `ticket_number` is the count, not the published number."""

    id: str
    source: Source
    outcome: Outcome
    matched_by: MatchedBy | None
    automatic: str | None
    problem: str | None
    ticket_id: str | None
    ticket_number: int | None
    comment_id: str | None
    contact_id: str | None
    message_id: str | None
    from_name: str | None
    from_address: str | None
    subject: str | None
    size: int
    received_at: datetime


class Received(BaseModel):
    """What became of a mail that was handed in."""

    outcome: Literal[Outcome, "duplicate"] = Field(
        description="`stored` is kept without waking anybody; `duplicate` came before, and the rest tells of that."
    )
    mail_id: str = Field(examples=["mail_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    ticket_id: str | None
    number: str | None = Field(examples=["TICK-1234"])
    comment_id: str | None
    contact_id: str | None
    matched_by: MatchedBy | None = Field(description="What named the ticket; `null` where none was named.")
    automatic: str | None = Field(description="Why a machine is taken for the sender; `null` for a person.")
    problem: str | None = Field(description="What could not be understood; `null` if all was.")


class Inbound(BaseModel):
    """A mail that came, in a list."""

    id: str = Field(examples=["mail_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    outcome: Outcome
    matched_by: MatchedBy | None
    automatic: str | None
    problem: str | None
    ticket_id: str | None
    number: str | None = Field(examples=["TICK-1234"])
    comment_id: str | None
    contact_id: str | None
    from_name: str | None
    from_address: str | None
    subject: str | None
    message_id: str | None
    source: Source
    size: int = Field(description="Bytes of the mail as it came.")
    received_at: Instant


class Header(BaseModel):
    """One header."""

    name: str
    value: str


class InboundDetail(Inbound):
    """A mail that came, with its headers and the whole of its text."""

    headers: list[Header]
    text: str | None = Field(description="With what it quotes; at most a million characters.")
    raw_until: Instant | None = Field(
        description="Until when the mail can be had as it came (`…/raw`); `null` once it is deleted."
    )


class InboundAsked(PageIn):
    """Which mails are asked for."""

    outcome: Outcome | None = Field(None, description="Only those with this outcome.")
    ticket_id: Annotated[str, Field(max_length=64, pattern=NO_NUL)] | None = Field(
        None, description="Only those of this ticket, by id or number."
    )
