"""Endpoints in SQL. A deleted one stays as a name for its deliveries, without its secret."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ticketry.db.pool import Tx
from ticketry.db.sql import assignments
from ticketry.webhooks.endpoints.models import Endpoint, Secrets

_SHOWN = ", ".join(Endpoint.model_fields)


async def insert(tx: Tx, workspace_id: str, endpoint: Endpoint, secret: str) -> None:
    """Stores a new endpoint."""
    columns = tuple(Endpoint.model_fields)
    places = ", ".join(["%s"] * (len(columns) + 2))
    query = f"INSERT INTO webhook_endpoints (workspace_id, secret, {', '.join(columns)}) VALUES ({places})"
    await tx.execute(query, (workspace_id, secret, *(getattr(endpoint, name) for name in columns)))


async def get(tx: Tx, workspace_id: str, endpoint_id: str) -> Endpoint | None:
    """One endpoint that is not deleted."""
    query = f"SELECT {_SHOWN} FROM webhook_endpoints WHERE workspace_id = %s AND id = %s AND deleted_at IS NULL"
    return await tx.one_of(Endpoint, query, (workspace_id, endpoint_id))


async def secrets(tx: Tx, workspace_id: str, endpoint_id: str) -> Secrets | None:
    """Where and with what an endpoint's messages are sent."""
    return await tx.one_of(
        Secrets,
        """SELECT url, secret, old_secret, old_secret_until FROM webhook_endpoints
           WHERE workspace_id = %s AND id = %s AND deleted_at IS NULL""",
        (workspace_id, endpoint_id),
    )


async def lock(tx: Tx, workspace_id: str, endpoint_id: str) -> Endpoint | None:
    """One endpoint, which nobody else changes until this unit ends."""
    query = f"""SELECT {_SHOWN} FROM webhook_endpoints
                WHERE workspace_id = %s AND id = %s AND deleted_at IS NULL FOR NO KEY UPDATE"""
    return await tx.one_of(Endpoint, query, (workspace_id, endpoint_id))


async def page(tx: Tx, workspace_id: str, limit: int, offset: int) -> list[Endpoint]:
    """The endpoints of a workspace, newest first."""
    query = f"""SELECT {_SHOWN} FROM webhook_endpoints WHERE workspace_id = %s AND deleted_at IS NULL
                ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s"""
    return await tx.all_of(Endpoint, query, (workspace_id, limit, offset))


async def count(tx: Tx, workspace_id: str) -> int:
    """How many endpoints a workspace has."""
    query = "SELECT count(*) FROM webhook_endpoints WHERE workspace_id = %s AND deleted_at IS NULL"
    row = await tx.one(query, (workspace_id,))
    return int(row[0]) if row else 0


async def update(tx: Tx, workspace_id: str, endpoint_id: str, changes: dict[str, Any]) -> None:
    """Sets the columns given."""
    query = f"""UPDATE webhook_endpoints SET {assignments(changes)}
                WHERE workspace_id = %(workspace_id)s AND id = %(key)s"""
    await tx.execute(query, {**changes, "workspace_id": workspace_id, "key": endpoint_id})


async def rotate(tx: Tx, workspace_id: str, endpoint_id: str, secret: str, until: datetime | None) -> None:
    """Gives an endpoint a new secret; the old one goes on until then, or ends now."""
    await tx.execute(
        """UPDATE webhook_endpoints SET secret = %(secret)s, updated_at = %(now)s, old_secret_until = %(until)s,
               old_secret = CASE WHEN %(until)s::timestamptz IS NULL THEN NULL ELSE secret END
           WHERE workspace_id = %(workspace_id)s AND id = %(id)s""",
        {"secret": secret, "now": tx.now, "until": until, "workspace_id": workspace_id, "id": endpoint_id},
    )


async def listening(tx: Tx, workspace_ids: Sequence[str]) -> list[tuple[str, str, list[str], datetime]]:
    """Workspace, id, types and creation of the endpoints that are on in these workspaces."""
    rows = await tx.all(
        """SELECT workspace_id, id, event_types, created_at FROM webhook_endpoints
           WHERE workspace_id = ANY(%s::identifier[]) AND enabled ORDER BY workspace_id, id""",
        (list(workspace_ids),),
    )
    return [(workspace_id, id_, types, created_at) for workspace_id, id_, types, created_at in rows]
