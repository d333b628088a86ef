"""Use cases of keys."""

from dataclasses import replace
from datetime import datetime, timedelta

from ticketry.accounts.keys import rules, store
from ticketry.accounts.keys.models import Credential, Key, KeyIn, NewKey, StoredKey
from ticketry.accounts.users import service as users
from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace
from ticketry.core.actor import Actor
from ticketry.core.errors import Conflict, NotFound
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx

TOUCH_AFTER = timedelta(minutes=1)


async def recognise(tx: Tx, secret: str) -> Credential | None:
    """What a presented key stands for, working or not; None if there is no such key. Notes its use."""
    found = await store.credential(tx, rules.digest(secret))
    if found and _is_stale(found.last_used_at, tx.now) and found.actor.key_id:
        await store.touch(tx, found.actor.workspace_id, found.actor.key_id)
    return found


def _is_stale(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at >= TOUCH_AFTER


async def create(tx: Tx, workspace_id: str, body: KeyIn, held: frozenset[str], until: datetime | None = None) -> NewKey:
    """Makes a key in a workspace; `held` and `until` are the scopes and the time that the caller may hand on."""
    workspace = await workspaces.get(tx, workspace_id)
    rules.check_grant(body.scopes, held, workspace.is_home)
    rules.check_end(body.expires_at, until, tx.now)
    if body.user_id is not None:
        rules.check_speaks_for(held)
        await users.check_assignable(tx, workspace_id, body.user_id, "user_id")
    return await _issue(tx, workspace, body)


async def _issue(tx: Tx, workspace: Workspace, body: KeyIn) -> NewKey:
    secret = rules.new_secret(workspace.environment)
    scopes: list[str] = sorted(set(body.scopes))
    key = StoredKey(
        workspace.id, mint("key"), body.name, workspace.environment, scopes, body.user_id, rules.hint(secret),
        body.expires_at, body.expires_at, None, None, tx.now,
    )  # fmt: skip
    await store.insert(tx, key, rules.digest(secret))
    return NewKey(**rules.view(key, tx.now).model_dump(), key=secret)


async def end_of(tx: Tx, actor: Actor) -> datetime | None:
    """Until when the actor's own key works, `None` for ever: it can hand on no more time than it has."""
    own = await store.get(tx, actor.workspace_id, actor.key_id) if actor.key_id else None
    return own.expires_at if own else None


async def get(tx: Tx, workspace_id: str, key_id: str) -> Key:
    """One key, without its secret."""
    return rules.view(await _find(tx, workspace_id, key_id), tx.now)


async def _find(tx: Tx, workspace_id: str, key_id: str) -> StoredKey:
    key = await store.get(tx, workspace_id, key_id)
    if key is None:
        raise NotFound("key_not_found", "API key not found")
    return key


async def page(tx: Tx, workspace_id: str, asked: PageIn) -> Page[Key]:
    """The keys of a workspace, newest first."""
    keys = await store.page(tx, workspace_id, asked.per_page, asked.offset)
    return page_of([rules.view(key, tx.now) for key in keys], await store.count(tx, workspace_id), asked)


async def revoke(tx: Tx, workspace_id: str, key_id: str) -> Key:
    """Ends a key for good. Every process refuses it within a second. Revoking twice is no error."""
    key = await _find(tx, workspace_id, key_id)
    await store.revoke(tx, workspace_id, key_id)
    return rules.view(replace(key, revoked_at=key.revoked_at or tx.now), tx.now)


async def rotate(tx: Tx, workspace_id: str, key_id: str, overlap_hours: int, held: frozenset[str]) -> NewKey:
    """A new key like the old one, which goes on for `overlap_hours`. Only a working key can be rotated."""
    old = await _find(tx, workspace_id, key_id)
    if (status := rules.status(old.revoked_at, old.expires_at, tx.now)) != "active":
        raise Conflict("key_not_active", f"API key is {status}; create a new one instead")
    workspace = await workspaces.get(tx, workspace_id)
    rules.check_grant(old.scopes, held, workspace.is_home)
    if old.user_id is not None:
        await users.check_assignable(tx, workspace_id, old.user_id, "user_id")
    await store.retire(tx, workspace_id, key_id, tx.now + timedelta(hours=overlap_hours))
    body = KeyIn.model_validate(
        {"name": old.name, "scopes": old.scopes, "expires_at": old.lasts_until, "user_id": old.user_id}
    )
    return await _issue(tx, workspace, body)
