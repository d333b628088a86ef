"""An erasure: what it did, and how far it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ticketry.core.actor import ActorType
from ticketry.core.fields import Instant

Stage = Literal[
    "settling", "tickets", "elsewhere", "loose", "answers", "words", "files", "ending", "statistics", "done"
]
"""What an erasure does next; they come in this order."""


class Counts(BaseModel):
    """How much an erasure has altered so far. Whatever is gone is counted once."""

    tickets: int = 0
    comments: int = 0
    resolutions: int = 0
    events: int = 0
    mails: int = Field(0, description="Mails sent and received, and attempts to send them.")
    deliveries: int = Field(0, description="What receivers of webhooks answered.")
    files: int = Field(0, description="Attachments, deleted from the file store.")
    file_names: int = Field(0, description="Names of attachments on others' tickets in which the person was named.")
    answers: int = Field(0, description="Stored answers of requests with an `Idempotency-Key`.")


class Erasure(BaseModel):
    """The erasure of a person's data. It cannot be undone."""

    id: str = Field(examples=["erasure_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    contact_id: str
    status: Literal["running", "done"] = Field(description="`running` goes on by itself, also after a crash.")
    started_at: Instant
    finished_at: Instant | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Run:
    """An erasure as it is stored: of a person, or of tickets that were closed before an instant."""

    workspace_id: str
    id: str
    kind: Literal["contact", "retention"]
    contact_id: str | None
    closed_before: datetime | None
    stage: Stage
    place: str
    halvings: int
    settled: str | None
    sought: dict[str, Any] | None
    counts: dict[str, int]
    actor_type: ActorType
    actor_id: str
    actor_name: str
    started_at: datetime
    finished_at: datetime | None

    def stride(self, most: int) -> int:
        """How much one step takes at a time, `most` at the beginning: less where that took too long."""
        return max(1, most >> self.halvings)

    @property
    def view(self) -> Erasure:
        """As the API shows the erasure of a person."""
        assert self.contact_id is not None
        return Erasure(
            id=self.id,
            contact_id=self.contact_id,
            status="running" if self.finished_at is None else "done",
            started_at=self.started_at,
            finished_at=self.finished_at,
            counts=Counts(**self.counts),
        )
