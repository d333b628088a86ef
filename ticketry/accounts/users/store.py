"""Users in SQL."""

from typing import Any

from psycopg.errors import UniqueViolation

from ticketry.accounts.users.models import User
from ticketry.core.text import like
from ticketry.db.pool import Tx
from ticketry.db.sql import assignments

_COLUMNS = "id, name, email, role, active, created_at"

WORKS_AS = "(SELECT name FROM users WHERE workspace_id = %(workspace_id)s AND id = %(assigned_to)s AND active)"
"""The name of a user with whom `check_assignable` finds nothing wrong, for statements that ask more than that."""


async def get(tx: Tx, workspace_id: str, user_id: str) -> User | None:
    """One user."""
    query = f"SELECT {_COLUMNS} FROM users WHERE workspace_id = %s AND id = %s"
    return await tx.one_of(User, query, (workspace_id, user_id))


async def insert(tx: Tx, workspace_id: str, user: User) -> bool:
    """Stores a new user; False if the id or the mail address is taken."""
    query = f"""INSERT INTO users (workspace_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING"""
    values = (workspace_id, user.id, user.name, user.email, user.role, user.active, user.created_at)
    return await tx.execute(query, values) == 1


async def update(tx: Tx, workspace_id: str, user_id: str, changes: dict[str, Any]) -> bool:
    """Sets the columns given; False, and the transaction is lost, if somebody took the mail address meanwhile."""
    query = f"UPDATE users SET {assignments(changes)} WHERE workspace_id = %(workspace_id)s AND id = %(key)s"
    try:
        await tx.execute(query, {**changes, "workspace_id": workspace_id, "key": user_id})
    except UniqueViolation:
        return False
    return True


async def by_email(tx: Tx, workspace_id: str, email: str) -> str | None:
    """The id of the user with this mail address, compared without case."""
    row = await tx.one(
        "SELECT id FROM users WHERE workspace_id = %s AND lower(email) = lower(%s)", (workspace_id, email)
    )
    return str(row[0]) if row else None


async def page(tx: Tx, workspace_id: str, search: str | None, limit: int, offset: int) -> tuple[list[User], int]:
    """Users by name and how many there are; `search` is a part of name or mail address."""
    where = "workspace_id = %s AND (%s::text IS NULL OR name ILIKE %s OR email ILIKE %s)"
    params = (workspace_id, search, like(search), like(search))
    query = f"SELECT {_COLUMNS} FROM users WHERE {where} ORDER BY lower(name), id LIMIT %s OFFSET %s"
    users = await tx.all_of(User, query, (*params, limit, offset))
    row = await tx.one(f"SELECT count(*) FROM users WHERE {where}", params)
    return users, int(row[0]) if row else 0
