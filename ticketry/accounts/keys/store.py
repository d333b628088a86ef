"""Keys in SQL."""

from datetime import datetime

from ticketry.accounts.keys.models import Credential, StoredKey
from ticketry.accounts.keys.rules import allowance
from ticketry.core.actor import Actor, ActorType
from ticketry.db.pool import Tx

_KEY = """k.workspace_id, k.id, k.name, w.environment, k.scopes, k.user_id, k.key_hint,
          least(k.expires_at, k.retires_at) AS expires_at, k.expires_at AS lasts_until, k.revoked_at,
          k.last_used_at, k.created_at
          FROM api_keys k JOIN workspaces w ON w.id = k.workspace_id"""


async def credential(tx: Tx, key_hash: bytes) -> Credential | None:
    """What a presented key stands for. The one query that cannot name a workspace: it finds it."""
    row = await tx.one(
        """SELECT k.workspace_id, k.id, k.name, k.scopes, k.user_id, u.name, least(k.expires_at, k.retires_at),
                  k.revoked_at IS NOT NULL OR NOT coalesce(u.active, true), k.last_used_at,
                  w.tier, w.minute_limit, w.day_limit
           FROM api_keys k JOIN workspaces w ON w.id = k.workspace_id
           LEFT JOIN users u ON u.workspace_id = k.workspace_id AND u.id = k.user_id
           WHERE k.key_hash = %s""",
        (key_hash,),
    )
    if row is None:
        return None
    workspace, key, name, scopes, user, user_name, expires, revoked, used, tier, minute, day = row
    kind: ActorType = "user" if user else "key"
    actor = Actor(workspace, kind, user or key, user_name or name, frozenset(scopes), key, user)
    return Credential(actor, allowance(tier, minute, day), expires, revoked, used)


async def touch(tx: Tx, workspace_id: str, key_id: str) -> None:
    """Records that the key is in use; at most once a minute, however many processes see it."""
    await tx.execute(
        """UPDATE api_keys SET last_used_at = %s
           WHERE workspace_id = %s AND id = %s
             AND (last_used_at IS NULL OR last_used_at <= %s - interval '1 minute')""",
        (tx.now, workspace_id, key_id, tx.now),
    )


async def insert(tx: Tx, key: StoredKey, key_hash: bytes) -> None:
    """Stores a new key."""
    await tx.execute(
        """INSERT INTO api_keys (workspace_id, id, user_id, name, scopes, key_hash, key_hint, expires_at, created_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            key.workspace_id, key.id, key.user_id, key.name, key.scopes, key_hash, key.key_hint, key.expires_at,
            key.created_at,
        ),
    )  # fmt: skip


async def get(tx: Tx, workspace_id: str, key_id: str) -> StoredKey | None:
    """One key."""
    return await tx.one_of(StoredKey, f"SELECT {_KEY} WHERE k.workspace_id = %s AND k.id = %s", (workspace_id, key_id))


async def page(tx: Tx, workspace_id: str, limit: int, offset: int) -> list[StoredKey]:
    """The keys of a workspace, newest first."""
    query = f"SELECT {_KEY} WHERE k.workspace_id = %s ORDER BY k.created_at DESC, k.id DESC LIMIT %s OFFSET %s"
    return await tx.all_of(StoredKey, query, (workspace_id, limit, offset))


async def count(tx: Tx, workspace_id: str) -> int:
    """How many keys a workspace has."""
    row = await tx.one("SELECT count(*) FROM api_keys WHERE workspace_id = %s", (workspace_id,))
    return int(row[0]) if row else 0


async def revoke(tx: Tx, workspace_id: str, key_id: str) -> None:
    """Revokes a key; one that is revoked already keeps its moment."""
    await tx.execute(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, %s) WHERE workspace_id = %s AND id = %s",
        (tx.now, workspace_id, key_id),
    )


async def retire(tx: Tx, workspace_id: str, key_id: str, at: datetime) -> None:
    """Ends a key that was rotated at `at`, or when it would have ended anyway if that is sooner."""
    await tx.execute(
        """UPDATE api_keys SET retires_at = least(retires_at, %s::timestamptz)
           WHERE workspace_id = %s AND id = %s""",
        (at, workspace_id, key_id),
    )
