"""What holds for keys: how a secret looks, how it is stored, when it works."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from ticketry.accounts.keys.models import Environment, Key, StoredKey
from ticketry.accounts.keys.scopes import HOME_SCOPES
from ticketry.core.errors import AuthenticationError, PermissionDenied, ValidationFailed, field_error
from ticketry.web.limits import Allowance

_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 43  # 62^43 is just over 256 bits

TIERS: dict[str, Allowance] = {
    "free": Allowance(100, 10_000),
    "professional": Allowance(500, 50_000),
    "business": Allowance(1_000, 100_000),
    "enterprise": Allowance(None, None),
}
"""Requests a minute and a day of each tier; a workspace's own limits win."""


def new_secret(environment: Environment) -> str:
    """A fresh key, `sk_live_…` or `sk_test_…`."""
    return f"sk_{environment}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))


def digest(secret: str) -> bytes:
    """What is stored of a secret. A plain hash suffices: 256 random bits cannot be guessed, slow hash or not."""
    return hashlib.sha256(secret.encode()).digest()


def hint(secret: str) -> str:
    """What is shown of a secret later: `sk_live_abc123...GHIJ`."""
    prefix, rest = secret[:8], secret[8:]
    return f"{prefix}{rest[:6]}...{rest[-4:]}"


def status(
    revoked_at: datetime | None, expires_at: datetime | None, now: datetime
) -> Literal["active", "expired", "revoked"]:
    """Whether a key works at this moment."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now else "active"


def check_works(revoked: bool, expires_at: datetime | None, now: datetime) -> None:
    """Raises `AuthenticationError` if the key is revoked or expired."""
    if revoked:
        raise AuthenticationError("revoked_api_key", "This API key has been revoked")
    if expires_at is not None and expires_at <= now:
        raise AuthenticationError("expired_api_key", "This API key has expired")


def allowance(tier: str, minute_limit: int | None, day_limit: int | None) -> Allowance:
    """How often the keys of a workspace may ask."""
    base = TIERS[tier]
    return Allowance(minute_limit or base.minute, day_limit or base.day)


def check_grant(wanted: Sequence[str], held: frozenset[str], is_home: bool) -> None:
    """A key may hand on only what it holds, and only the agency's home workspace manages workspaces."""
    if not is_home and (beyond := sorted(HOME_SCOPES.intersection(wanted))):
        message = f"{', '.join(beyond)} is only for keys of the agency's home workspace"
        raise ValidationFailed(field_error("scopes", "home_scope", message))
    if missing := sorted(set(wanted) - held):
        raise PermissionDenied(
            "insufficient_scope",
            f"A key cannot hand on a scope that it lacks: {missing[0]}",
            required_scope=missing[0],
        )


def check_end(wanted: datetime | None, until: datetime | None, now: datetime) -> None:
    """A new key ends in the future, and not after the key that makes it."""
    if wanted is not None and wanted <= now:
        raise ValidationFailed(field_error("expires_at", "in_the_past", "must lie in the future"))
    if until is not None and (wanted is None or wanted > until):
        message = "a key that ends cannot make one that lasts longer"
        raise ValidationFailed(field_error("expires_at", "lasts_longer", message))


def check_speaks_for(held: frozenset[str]) -> None:
    """Whose key acts as a person must be allowed to manage people."""
    if "users:write" not in held:
        message = "A key that acts as a user can be made only with users:write"
        raise PermissionDenied("insufficient_scope", message, required_scope="users:write")


def view(key: StoredKey, now: datetime) -> Key:
    """The key as it is shown."""
    return Key(
        id=key.id,
        name=key.name,
        environment=key.environment,
        scopes=key.scopes,
        user_id=key.user_id,
        key_hint=key.key_hint,
        status=status(key.revoked_at, key.expires_at, now),
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        created_at=key.created_at,
    )
