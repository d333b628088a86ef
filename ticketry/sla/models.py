"""What the SLA rules speak of: calendars, policies, the facts of a ticket's life, and its clock.

Plain frozen dataclasses: they are made many times on the way of a close, and need no parsing.
Instants are aware, in UTC and whole seconds; the rules see to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

ALWAYS_OPEN = "24/7"

NEW = "new"
RESOLVED = "resolved"
CLOSED = "closed"
REOPENED = "reopened"
WAITING_ON_CUSTOMER = "waiting_on_customer"
WAITING_ON_THIRD_PARTY = "waiting_on_third_party"
AT_REST = frozenset({RESOLVED, CLOSED})


@dataclass(frozen=True, slots=True)
class Calendar:
    """Opening hours as an OpenStreetMap expression, read in a zone, with a country's public holidays."""

    opening_hours: str = ALWAYS_OPEN
    time_zone: str = "UTC"
    country: str | None = None
    closed_days: tuple[date, ...] = ()
    id: str | None = None
    name: str = "Always open"


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised, in minutes of business time; None promises nothing."""

    response: int | None = None
    resolution: int | None = None


NO_TARGET = Target()


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a policy: targets by priority, a calendar, and what pauses the resolution clock."""

    id: str | None
    version: int
    name: str
    targets: Mapping[int, Target]
    calendar: Calendar
    pause_on_third_party: bool = False

    def target(self, priority: int) -> Target:
        return self.targets.get(priority, NO_TARGET)

    def pauses_in(self, status: str) -> bool:
        return status == WAITING_ON_CUSTOMER or (status == WAITING_ON_THIRD_PARTY and self.pause_on_third_party)


HOUR = 60
DAY = 24 * HOUR
DEFAULT_POLICY = Policy(
    id=None,
    version=1,
    name="Default",
    targets={
        1: Target(response=1 * HOUR, resolution=8 * HOUR),
        2: Target(response=8 * HOUR, resolution=24 * HOUR),
        3: Target(response=24 * HOUR, resolution=72 * HOUR),
        4: Target(response=7 * DAY, resolution=14 * DAY),
    },
    calendar=Calendar(),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to a ticket and that its clock minds. The first is the ticket's creation."""

    at: datetime
    status: str | None = None
    priority: int | None = None
    responded: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """The whole state of a ticket's clock after the facts so far; it is stored column by column.

    Spent seconds are open ones, counted up to `since`, over all cycles. A due moment is None where there is
    no target and where nothing is approaching (paused or at rest, and not missed). Results stand only once
    decided. `first_response_at` stays None when the close was the response; `response_completed_at` does not.
    """

    cycle: int
    status: str
    priority: int
    since: datetime
    response_spent: int = 0
    resolution_spent: int = 0
    response_due_at: datetime | None = None
    resolution_due_at: datetime | None = None
    first_response_at: datetime | None = None
    response_completed_at: datetime | None = None
    resolution_completed_at: datetime | None = None
    response_met: bool | None = None
    resolution_met: bool | None = None
    paused: bool = False


class Stands(Protocol):
    """What must be known of a clock to say what a reader sees of it."""

    @property
    def response_met(self) -> bool | None: ...
    @property
    def response_due_at(self) -> datetime | None: ...
    @property
    def resolution_met(self) -> bool | None: ...
    @property
    def resolution_due_at(self) -> datetime | None: ...
    @property
    def paused(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader sees of a clock at an instant."""

    response_met: bool | None
    resolution_met: bool | None
    breached: bool
    paused: bool
