"""API keys: what a program shows to be let in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ticketry.accounts.keys.scopes import Scope
from ticketry.core.actor import Actor
from ticketry.core.fields import Id, Instant, StrictModel, text
from ticketry.web.limits import Allowance

KeyName = Annotated[str, text(200), Field(description="What the key is for.", examples=["Billing robot"])]
Environment = Literal["live", "test"]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=50, description="What the key may do.")]

DEFAULT_OVERLAP = 24


class KeyIn(StrictModel):
    """A new key."""

    name: KeyName
    scopes: Scopes
    expires_at: Instant | None = Field(None, description="When it stops working; `null` is never.")
    user_id: Id | None = Field(None, description="The user as whom the key acts; `null` acts as the key itself.")


class RotateIn(StrictModel):
    """How long the old key goes on beside the new one."""

    overlap_hours: int | None = Field(
        DEFAULT_OVERLAP, ge=0, le=720, description="Hours until the old key stops working."
    )

    @staticmethod
    def hours_of(body: "RotateIn | None") -> int:
        """The overlap asked for; a body, or a value, that is not given means the default."""
        return DEFAULT_OVERLAP if body is None or body.overlap_hours is None else body.overlap_hours


class Key(BaseModel):
    """An API key. Its secret is shown once, at creation; afterwards only `key_hint`."""

    id: str = Field(examples=["key_01jhq3v9m4e5x8y7z6w5v4u3t2"])
    name: str
    environment: Environment
    scopes: list[str]
    user_id: str | None
    key_hint: str = Field(examples=["sk_live_abc123...GHIJ"])
    status: Literal["active", "expired", "revoked"]
    expires_at: Instant | None
    last_used_at: Instant | None
    created_at: Instant


class NewKey(Key):
    """A key just made, with its secret: the only time that it is shown."""

    key: str | None = Field(examples=["sk_live_…"], description="`null` only where the answer is replayed.")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is stored; the secret is not. A rotation ends it before `lasts_until`, the end it was made with."""

    workspace_id: str
    id: str
    name: str
    environment: Environment
    scopes: list[str]
    user_id: str | None
    key_hint: str
    expires_at: datetime | None
    lasts_until: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Credential:
    """All that a request needs to know of its key: who acts, how often it may, and until when it works."""

    actor: Actor
    allowance: Allowance
    expires_at: datetime | None
    revoked: bool
    last_used_at: datetime | None
