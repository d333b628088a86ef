"""Endpoints: what a caller gives, sees and is told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from ticketry.core.fields import Instant, StrictModel, check_storable, text
from ticketry.events.models import EventType

MOST_TYPES = 50
Url = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=2000),
    AfterValidator(check_storable),
    Field(description="Where to send: https, a public address.", examples=["https://example.com/ticketry"]),
]
Description = Annotated[str, text(500), Field(examples=["Tells the warehouse"])]


def _once(types: list[str]) -> list[str]:
    return list(dict.fromkeys(types))


EventTypes = Annotated[
    list[EventType],
    Field(max_length=MOST_TYPES, description="What to send; an empty list is everything."),
    AfterValidator(_once),
]


class EndpointIn(StrictModel):
    """A new endpoint."""

    url: Url
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = Field(None, description="Whether it is on, `true` if not given.")


class EndpointPatch(StrictModel):
    """A change of an endpoint: fields left out stay."""

    url: Url = ""
    event_types: EventTypes | None = Field(None, description="Replaces the types; `null` and an empty list are all.")
    description: Description | None = None
    enabled: bool = Field(True, description="`true` also takes up again what waits since it was off.")


class RotateSecretIn(StrictModel):
    """How long the old secret goes on signing beside the new one."""

    overlap_hours: int | None = Field(24, ge=0, le=720, description="Hours in which both secrets sign.")


class Endpoint(BaseModel):
    """A webhook endpoint. Its secret is shown once, when it is made."""

    id: str = Field(examples=["webhook_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None = Field(description="Why Ticketry switched it off; `null` if somebody else did.")
    failing_since: Instant | None = Field(description="The first failure after the last success.")
    last_success_at: Instant | None = Field(description="The last success, exact to a minute.")
    old_secret_until: Instant | None = Field(description="Until when the secret before the last rotation signs too.")
    created_at: Instant
    updated_at: Instant


class NewEndpoint(Endpoint):
    """An endpoint with its secret: the only time that it is shown."""

    secret: str | None = Field(
        examples=["whsec_…"], description="`null` only where the answer is replayed.", repr=False
    )


class Verdict(BaseModel):
    """What came of calling an endpoint."""

    ok: bool
    problem: str | None = Field(description="What is wrong, in plain words.", examples=["Timeout: no answer …"])
    kind: Literal["url", "not_allowed", "dns", "tls", "refused", "timeout", "status", "connection"] | None
    status_code: int | None
    answer: str | None = Field(description="The first KiB of the answer.")
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an endpoint's messages are signed with."""

    url: str
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None

    def living(self, now: datetime) -> list[str]:
        """The secrets that sign at this moment, the newest first."""
        old = self.old_secret if self.old_secret_until and self.old_secret_until > now else None
        return [self.secret, old] if old else [self.secret]
