"""`ticketry keys`, `ticketry users` and `ticketry workspaces`."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import typer

from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.models import Key, KeyIn, NewKey
from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.accounts.users import service as users
from ticketry.accounts.users.models import User, UserIn
from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace, WorkspaceIn
from ticketry.commands import show
from ticketry.commands.database import run
from ticketry.commands.places import Place, agency, all_workspaces, find
from ticketry.core.errors import NotFound, ValidationFailed, field_error
from ticketry.core.fields import parse_instant
from ticketry.db.pool import Tx
from ticketry.settings import Settings


def create_key(
    settings: Settings, place: Place, name: str, scopes: str, user: str | None, expires: str | None, quiet: bool
) -> None:
    """Makes a key and shows it, the only time."""

    async def work(tx: Tx) -> tuple[NewKey, Workspace]:
        workspace = await find(tx, place)
        wanted = _scopes(scopes, workspace)
        until = None if expires is None else _expiry(expires, tx.now)
        body = show.parse(KeyIn, {"name": name, "scopes": wanted, "expires_at": until, "user_id": user})
        return await keys.create(tx, workspace.id, body, frozenset(ALL_SCOPES)), workspace

    key, workspace = run(settings, work)
    typer.echo(key.key)
    if not quiet:
        until = f", until {key.expires_at:%Y-%m-%d %H:%M:%SZ}" if key.expires_at else ""
        show.note(f"Key {key.id} of workspace {workspace.name} ({workspace.id}){until}. It is shown only this once.")


def _scopes(text: str, workspace: Workspace) -> list[str]:
    if text.strip() == "all":
        return [scope for scope in ALL_SCOPES if workspace.is_home or scope not in HOME_SCOPES]
    wanted = show.split(text) or []
    if unknown := [scope for scope in wanted if scope not in ALL_SCOPES]:
        message = f"there is no scope {unknown[0]}; there are all, {', '.join(ALL_SCOPES)}"
        raise ValidationFailed(field_error("scopes", "unknown_scope", message))
    return wanted


def _expiry(text: str, now: datetime) -> datetime:
    """A day means until its end, UTC."""
    try:
        until = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(days=1)
    except ValueError:
        try:
            until = parse_instant(text)
        except ValueError:
            message = "must be a day (2026-12-31) or an instant with an offset (2026-12-31T18:00:00Z)"
            raise ValidationFailed(field_error("expires", "instant", message)) from None
    if until <= now:
        raise ValidationFailed(field_error("expires", "past", "is in the past"))
    return until


def list_keys(settings: Settings, place: Place) -> None:
    """Shows the keys of a workspace, newest first, without their secrets."""

    async def work(tx: Tx) -> list[Key]:
        workspace = await find(tx, place)
        return await show.every(lambda asked: keys.page(tx, workspace.id, asked))

    columns = ("id", "name", "status", "scopes", "user_id", "key_hint", "expires_at", "last_used_at")
    show.objects(columns, run(settings, work))


def revoke_key(settings: Settings, place: Place, key_id: str) -> None:
    """Ends a key for good, in whichever workspace it is."""

    async def work(tx: Tx) -> Key:
        places = [await find(tx, place)] if place.named else await all_workspaces(tx)
        for workspace in places:
            try:
                return await keys.revoke(tx, workspace.id, key_id)
            except NotFound:
                continue
        raise ValidationFailed(field_error("ID", "key_not_found", f"no key has the id {key_id}"))

    key = run(settings, work)
    show.note(f"Key {key.id} ({key.name}, {key.key_hint}) is revoked; every server refuses it within a second.")


def create_user(settings: Settings, place: Place, values: dict[str, Any], quiet: bool) -> None:
    """Adds a user."""

    async def work(tx: Tx) -> tuple[User, Workspace]:
        workspace = await find(tx, place)
        return await users.create(tx, workspace.id, show.parse(UserIn, values)), workspace

    user, workspace = run(settings, work)
    show.made(user.id, f"{user.name} is {user.role} of workspace {workspace.name}.", quiet)


def list_users(settings: Settings, place: Place, search: str | None) -> None:
    """Shows the users of a workspace by name."""

    async def work(tx: Tx) -> list[User]:
        workspace = await find(tx, place)
        return await show.every(lambda asked: users.page(tx, workspace.id, search, asked))

    show.objects(("id", "name", "email", "role", "active", "created_at"), run(settings, work))


def create_workspace(settings: Settings, values: dict[str, Any], quiet: bool) -> None:
    """Adds a workspace for a client of the agency."""

    async def work(tx: Tx) -> Workspace:
        return await workspaces.create(tx, await agency(tx), show.parse(WorkspaceIn, values))

    made = run(settings, work)
    show.made(
        made.id,
        f"{made.environment.capitalize()} workspace {made.name} has no key yet: make one with `keys create`.",
        quiet,
    )


def list_workspaces(settings: Settings) -> None:
    """Shows the agency's workspaces, oldest first."""
    columns = ("id", "name", "environment", "is_home", "tier", "created_at")
    show.objects(columns, run(settings, all_workspaces))
