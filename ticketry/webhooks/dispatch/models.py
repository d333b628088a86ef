"""What the dispatcher works with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from ticketry.webhooks.deliveries.rules import hopeless
from ticketry.webhooks.endpoints.models import Secrets
from ticketry.webhooks.sending.models import Outcome


class Key(NamedTuple):
    """Which endpoint."""

    workspace_id: str
    endpoint_id: str


@dataclass(frozen=True, slots=True)
class Config:
    """An endpoint as it stands: where to send, signed with what, and how it fared so far."""

    key: Key
    secrets: Secrets
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None

    def hopeless(self, now: datetime) -> bool:
        """Whether it has failed for so long, at last not long ago, that it is to be switched off."""
        return hopeless(self.failing_since, self.last_failure_at, now)


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is due, the first of its ticket; or one behind a first that is due at `waits_until` only."""

    key: Key
    id: str
    event_id: str
    event_type: str
    event_at: datetime
    ticket_id: str | None
    position: int
    attempts: int
    tries: int
    round_at: datetime
    next_attempt_at: datetime
    waits_until: datetime | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt makes of a delivery. `next_attempt_at` stands for one that stays pending."""

    due: Due
    outcome: Outcome
    status: Literal["pending", "delivered", "dead"]
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint fares, to be written down."""

    key: Key
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
