"""Calendars and policies as they are sent, shown and stored."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ticketry.core.fields import Id, Instant, StrictModel, text
from ticketry.sla.models import Policy

DEFAULT_POLICY_ID = "sla_default"
LAST_POSITION = 2_147_483_647
FIRST_YEAR, LAST_YEAR = 1970, 2199

Name = Annotated[str, text(100), Field(examples=["Office hours"])]
OpeningHours = Annotated[
    str,
    text(1000),
    Field(description="An OpenStreetMap opening_hours expression.", examples=["Mo-Fr 09:00-12:00,13:00-18:00; PH off"]),
]
TimeZone = Annotated[str, text(100), Field(description="An IANA zone.", examples=["Europe/Paris"])]
Country = Annotated[
    str, Field(pattern="^[A-Z]{2}$", description="ISO 3166 country of the public holidays (PH).", examples=["FR"])
]
Minutes = Annotated[int, Field(ge=1, le=5_256_000, description="Minutes of business time.")]
Position = Annotated[int, Field(ge=1, le=1_000_000, description="The lower, the sooner it is tried.")]


def _day(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = None
    if day is None or day.isoformat() != value or not FIRST_YEAR <= day.year <= LAST_YEAR:
        message = "must be a day from {first} to {last}, for instance 2025-12-24"
        raise PydanticCustomError("date", message, {"first": FIRST_YEAR, "last": LAST_YEAR})
    return day


def _no(value: object) -> object:
    """`null` is the same as leaving it out."""
    return False if value is None else value


def _own_priorities(value: Any) -> Any:
    if isinstance(value, dict) and not value.keys() <= {"1", "2", "3", "4"}:
        raise PydanticCustomError("priority", "knows the priorities 1 to 4 only")
    return value


Day = Annotated[date, BeforeValidator(_day)]
ClosedDays = Annotated[list[Day], Field(max_length=400, description="Whole days closed beside the public holidays.")]


class CalendarIn(StrictModel):
    """A new calendar."""

    name: Name
    opening_hours: OpeningHours
    time_zone: TimeZone | None = "UTC"
    country: Country | None = None
    closed_days: ClosedDays | None = None


class CalendarPatch(StrictModel):
    """A change of a calendar. Policies that use it get a new version; tickets keep theirs."""

    name: Name = ""
    opening_hours: OpeningHours = ""
    time_zone: TimeZone = "UTC"
    country: Country | None = None
    closed_days: ClosedDays | None = None


class CalendarObject(BaseModel):
    """When a team works."""

    id: str
    name: str
    opening_hours: str
    time_zone: str
    country: str | None
    closed_days: list[date]
    created_at: Instant
    updated_at: Instant


class TargetIn(StrictModel):
    """What is promised for one priority; `null` promises nothing."""

    response: Minutes | None = None
    resolution: Minutes | None = None


class Conditions(StrictModel):
    """Which tickets a policy is for: all that are given must hold, one value of each suffices."""

    category: Annotated[list[Annotated[str, text(100)]], Field(max_length=50)] | None = None
    tags: Annotated[list[Annotated[str, text(50)]], Field(max_length=50)] | None = None
    contact_id: Annotated[list[Id], Field(max_length=500)] | None = None
    priority: Annotated[list[Annotated[int, Field(ge=1, le=4)]], Field(max_length=4)] | None = None


class Escalation(StrictModel):
    """What is done by itself when a promise is in danger or broken."""

    on: Literal["warning", "breach"]
    target: Literal["response", "resolution"] | None = Field(None, description="`null`: either.")
    raise_priority: Annotated[bool, BeforeValidator(_no), Field(description="One step up.")] = False
    assign_to: Id | None = None
    add_tag: Annotated[str, text(50)] | None = None
    note: Annotated[str, text(2_000)] | None = Field(None, description="An internal note.")


Targets = Annotated[
    dict[str, TargetIn],
    Field(
        description="By priority, 1 to 4.",
        examples=[{"1": {"response": 60, "resolution": 480}}],
        json_schema_extra={"propertyNames": {"pattern": "^[1-4]$"}},
    ),
    BeforeValidator(_own_priorities),
]
Escalations = Annotated[list[Escalation], Field(max_length=20)]


class PolicyIn(StrictModel):
    """A new policy."""

    name: Name
    position: Position | None = Field(None, description="The lower, the sooner it is tried; `null`: after the others.")
    calendar_id: Id | None = Field(None, description="`null`: always open.")
    targets: Targets
    pause_on_third_party: bool | None = False
    conditions: Conditions | None = None
    escalations: Escalations | None = None


class PolicyPatch(StrictModel):
    """A change of a policy, which makes a new version; fields left out stay. Tickets keep the version they have."""

    name: Name = ""
    position: Position = 1
    active: bool = True
    calendar_id: Id | None = None
    targets: Annotated[Targets, Field(description="Replaces the targets.")] = {}
    pause_on_third_party: bool = False
    conditions: Conditions | None = None
    escalations: Escalations | None = None


class PolicyObject(BaseModel):
    """What is promised to which tickets."""

    id: str = Field(examples=[DEFAULT_POLICY_ID])
    name: str
    version: int
    position: int | None = Field(description="`null` for the default, which is tried last.")
    is_default: bool
    active: bool
    calendar_id: str | None
    targets: dict[str, TargetIn]
    pause_on_third_party: bool
    conditions: Conditions
    escalations: list[Escalation]
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version of a policy as it is stored, and what holds for the policy whatever its version."""

    id: str
    version: int
    position: int
    active: bool
    created_at: datetime
    updated_at: datetime
    policy: Policy
    conditions: Conditions
    escalations: list[Escalation]
