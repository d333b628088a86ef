"""What a key may do. Write does not include read."""

from typing import Literal

Scope = Literal[
    "tickets:read",
    "tickets:write",
    "contacts:read",
    "contacts:write",
    "users:read",
    "users:write",
    "sla:read",
    "sla:write",
    "webhooks:read",
    "webhooks:write",
    "events:read",
    "analytics:read",
    "keys:read",
    "keys:write",
    "workspaces:read",
    "workspaces:write",
]

HOME_SCOPES: frozenset[str] = frozenset({"workspaces:read", "workspaces:write"})
"""Only keys of the agency's home workspace may hold these."""

ALL_SCOPES: tuple[str, ...] = Scope.__args__  # type: ignore[attr-defined]
