"""Promises as they are shown: why a clock stands where it stands, and what applying a policy does."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from ticketry.core.fields import Instant, StrictModel


class Hours(BaseModel):
    """The calendar as the ticket's policy version holds it."""

    opening_hours: str
    time_zone: str
    country: str | None
    closed_days: list[date]


class PromiseObject(BaseModel):
    """How one promise stands."""

    target_seconds: int | None = Field(description="The target that it is, or was, judged by; `null`: none.")
    due_at: Instant | None
    completed_at: Instant | None
    elapsed_seconds: int = Field(description="Business time, over all cycles.")
    remaining_seconds: int | None
    met: bool | None


class IntervalObject(BaseModel):
    """A stretch of the ticket's life in which nothing changed."""

    start: Instant = Field(alias="from")
    end: Instant = Field(alias="to")
    seconds: int
    counts_for: list[Literal["response", "resolution"]]
    reason: Literal[
        "open_hours", "closed_hours", "public_holiday", "closed_day", "paused", "completed", "resolved", "closed"
    ]
    detail: str | None = Field(description="The status that paused, or the calendar's own comment.")


class CycleObject(BaseModel):
    """One way to a resolution, and the rest after it."""

    cycle: int
    policy_id: str
    policy_version: int
    response: PromiseObject
    resolution: PromiseObject
    intervals: list[IntervalObject]


class ExplanationObject(BaseModel):
    """Why a ticket's clock stands where it stands."""

    policy_id: str
    policy_version: int
    policy_name: str
    calendar: Hours
    at: Instant
    cycles: list[CycleObject]


class ApplyIn(StrictModel):
    """How to apply a policy."""

    dry_run: bool | None = Field(False, description="`true` only tells what would happen.")


class Affected(BaseModel):
    """Tickets, by number."""

    count: int
    tickets: list[str] = Field(description="Their numbers, 1,000 at the most.")


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
