"""Agencies and workspaces in SQL."""

from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from ticketry.accounts.workspaces.models import Workspace
from ticketry.db.pool import Tx
from ticketry.db.sql import assignments

_COLUMNS = """id, agency_id, name, environment, is_home, tier, minute_limit, day_limit, reopen_window_days,
              auto_close_days, retention_months, branding, created_at, updated_at"""


async def lock_founding(tx: Tx) -> None:
    """Only one process at a time founds an installation."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('ticketry.founding'))")


async def insert_agency(tx: Tx, agency_id: str, name: str) -> None:
    """Stores a new agency."""
    await tx.execute("INSERT INTO agencies (id, name, created_at) VALUES (%s, %s, %s)", (agency_id, name, tx.now))


async def first_agency(tx: Tx) -> str | None:
    """The agency that runs this installation, if it is founded."""
    row = await tx.one("SELECT id FROM agencies ORDER BY created_at, id LIMIT 1")
    return str(row[0]) if row else None


async def insert(tx: Tx, new: Workspace) -> None:
    """Stores a new workspace and makes its sequence of ticket numbers."""
    await tx.execute(
        """INSERT INTO workspaces (id, agency_id, name, environment, is_home, tier, created_at, updated_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (new.id, new.agency_id, new.name, new.environment, new.is_home, new.tier, new.created_at, new.updated_at),
    )
    sequence = sql.SQL("CREATE SEQUENCE {}").format(sql.Identifier("numbers", new.id))
    await tx.execute(sequence.as_string())


async def get(tx: Tx, workspace_id: str) -> Workspace | None:
    """One workspace."""
    return await tx.one_of(Workspace, f"SELECT {_COLUMNS} FROM workspaces WHERE id = %s", (workspace_id,))


async def of_agency(tx: Tx, agency_id: str, limit: int, offset: int) -> tuple[list[Workspace], int]:
    """The agency's workspaces, oldest first, and how many there are."""
    query = f"SELECT {_COLUMNS} FROM workspaces WHERE agency_id = %s ORDER BY created_at, id LIMIT %s OFFSET %s"
    found = await tx.all_of(Workspace, query, (agency_id, limit, offset))
    row = await tx.one("SELECT count(*) FROM workspaces WHERE agency_id = %s", (agency_id,))
    return found, int(row[0]) if row else 0


async def lock(tx: Tx, workspace_id: str) -> None:
    """Holds a workspace's settings until the unit of work ends: one change after the other."""
    await tx.execute("SELECT 1 FROM workspaces WHERE id = %s FOR NO KEY UPDATE", (workspace_id,))


async def update(tx: Tx, workspace_id: str, changes: dict[str, Any]) -> None:
    """Sets the columns given."""
    values = {name: Jsonb(value.model_dump()) if name == "branding" else value for name, value in changes.items()}
    query = f"UPDATE workspaces SET {assignments(changes)} WHERE id = %(key)s"
    await tx.execute(query, {**values, "key": workspace_id})
