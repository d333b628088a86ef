"""What applying a policy does to open tickets, told before or after it is done."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from ticketry.core.fields import StrictModel


class ApplyIn(StrictModel):
    """How to apply a policy."""

    dry_run: bool | None = Field(False, description="`true` only tells what would happen.")


class Affected(BaseModel):
    """Tickets, by number."""

    count: int
    tickets: list[str] = Field(description="Their numbers.")


class Applied(BaseModel):
    """What applying the newest version of a policy does."""

    policy_id: str
    version: int
    dry_run: bool
    moved: Affected = Field(description="Open tickets that get this version.")
    newly_breached: Affected = Field(description="Of these, who are in breach by it and were not before.")
    saved: Affected = Field(description="Of these, who were in breach and are not any more.")


@dataclass(frozen=True, slots=True)
class Closing:
    """What a close stored for good, and the policy version that held."""

    ticket_id: str
    cycle: int
    response_met: bool | None
    resolution_met: bool | None
    response_due_at: datetime | None
    resolution_due_at: datetime | None
    first_response_at: datetime | None
    resolved_at: datetime
    closed_at: datetime
    sla_policy_id: str
    sla_policy_version: int
