"""Who acts: handed to every use case as an argument, never looked up from the surroundings."""

from dataclasses import dataclass, field
from typing import Literal

ActorType = Literal["user", "key", "contact", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who asks for a change, the workspace it happens in, and what the caller may do there.

    `type`, `id` and `name` are what history shows. A key that belongs to a user acts as that user.
    `key_id` is the API key that was presented, `None` for the command line, jobs and pages.
    """

    workspace_id: str
    type: ActorType
    id: str
    name: str
    scopes: frozenset[str] = field(default_factory=frozenset)
    key_id: str | None = None
    user_id: str | None = None


def system(workspace_id: str, name: str = "Ticketry") -> Actor:
    """The program itself: timers, imports, the command line."""
    return Actor(workspace_id, "system", "system", name)
