"""Use cases of users."""

from typing import Any

from ticketry.accounts.users import store
from ticketry.accounts.users.models import User, UserIn, UserPatch
from ticketry.core.errors import Conflict, NotFound, ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx


async def create(tx: Tx, workspace_id: str, body: UserIn) -> User:
    """Adds a user to a workspace."""
    user = User(
        id=body.id or mint("user"),
        name=body.name,
        email=body.email,
        role=body.role or "agent",
        active=True,
        created_at=tx.now,
    )
    if not await store.insert(tx, workspace_id, user):
        taken = "email" if await store.by_email(tx, workspace_id, user.email) else "id"
        raise _taken(taken)
    return user


def _taken(field: str) -> Conflict:
    return Conflict(f"user_{field}_taken", f"A user with this {field} exists already", field=field)


async def get(tx: Tx, workspace_id: str, user_id: str) -> User:
    """One user."""
    user = await store.get(tx, workspace_id, user_id)
    if user is None:
        raise NotFound("user_not_found", "User not found")
    return user


async def page(tx: Tx, workspace_id: str, search: str | None, asked: PageIn) -> Page[User]:
    """Users by name; `search` is a part of the name or mail address."""
    users, total = await store.page(tx, workspace_id, search, asked.per_page, asked.offset)
    return page_of(users, total, asked)


async def update(tx: Tx, workspace_id: str, user_id: str, body: UserPatch) -> User:
    """Changes the fields given."""
    user = await get(tx, workspace_id, user_id)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    if "email" in changes and await store.by_email(tx, workspace_id, body.email) not in {None, user_id}:
        raise _taken("email")
    if changes and not await store.update(tx, workspace_id, user_id, changes):
        raise _taken("email")
    return user.model_copy(update=changes)


async def of_address(tx: Tx, workspace_id: str, email: str) -> User | None:
    """The user with this mail address who works here, compared without case."""
    known = await store.by_email(tx, workspace_id, email)
    user = None if known is None else await store.get(tx, workspace_id, known)
    return user if user is not None and user.active else None


async def check_assignable(tx: Tx, workspace_id: str, user_id: str, field: str) -> User:
    """The user, if there is one who works here; else a validation error that names `field`."""
    user = await store.get(tx, workspace_id, user_id)
    if user is None:
        raise ValidationFailed(field_error(field, "user_not_found", "no user of this workspace has this id"))
    if not user.active:
        raise ValidationFailed(field_error(field, "user_inactive", "this user is deactivated"))
    return user
