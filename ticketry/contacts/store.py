"""Contacts in SQL."""

from typing import Any

from psycopg.errors import UniqueViolation

from ticketry.contacts.models import Contact
from ticketry.core.text import like
from ticketry.db.pool import Tx
from ticketry.db.sql import assignments

_COLUMNS = "id, name, email, phone, company, external_id, tags, created_at, updated_at, erased_at"

LIVES = """EXISTS (SELECT FROM contacts WHERE workspace_id = %(workspace_id)s AND id = %(contact_id)s
    AND erased_at IS NULL)"""
"""Whether `check_exists` finds nothing wrong with a contact, for statements that ask more than that."""


async def get(tx: Tx, workspace_id: str, contact_id: str) -> Contact | None:
    """One contact."""
    query = f"SELECT {_COLUMNS} FROM contacts WHERE workspace_id = %s AND id = %s"
    return await tx.one_of(Contact, query, (workspace_id, contact_id))


async def insert(tx: Tx, workspace_id: str, contact: Contact) -> bool:
    """Stores a new contact; False if the id or the mail address is taken."""
    query = f"""INSERT INTO contacts (workspace_id, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING"""
    values = tuple(getattr(contact, name) for name in Contact.model_fields)
    return await tx.execute(query, (workspace_id, *values)) == 1


async def hold(tx: Tx, workspace_id: str, contact_id: str) -> Contact | None:
    """One contact, which nobody else changes or names until the unit ends."""
    query = f"SELECT {_COLUMNS} FROM contacts WHERE workspace_id = %s AND id = %s FOR UPDATE"
    return await tx.one_of(Contact, query, (workspace_id, contact_id))


async def former(tx: Tx, workspace_id: str, contact_id: str) -> dict[str, list[str]]:
    """What a contact's fields held before, as far as they have changed: of each the last 20 values, newest first."""
    row = await tx.one("SELECT former FROM contacts WHERE workspace_id = %s AND id = %s", (workspace_id, contact_id))
    return row[0] if row else {}


async def erase(tx: Tx, workspace_id: str, contact_id: str, name: str) -> None:
    """Empties a contact's row but for its id."""
    await tx.execute(
        """UPDATE contacts SET name = %s, email = NULL, phone = NULL, company = NULL, external_id = NULL, tags = '{}',
               former = '{}', erased_at = %s, updated_at = %s
           WHERE workspace_id = %s AND id = %s""",
        (name, tx.now, tx.now, workspace_id, contact_id),
    )


async def update(tx: Tx, workspace_id: str, contact_id: str, changes: dict[str, Any]) -> bool:
    """Sets the columns given; False, and the transaction is lost, if somebody took the mail address meanwhile."""
    query = f"UPDATE contacts SET {assignments(changes)} WHERE workspace_id = %(workspace_id)s AND id = %(key)s"
    try:
        await tx.execute(query, {**changes, "workspace_id": workspace_id, "key": contact_id})
    except UniqueViolation:
        return False
    return True


async def by_email(tx: Tx, workspace_id: str, email: str) -> str | None:
    """The id of the contact with this mail address, compared without case."""
    query = "SELECT id FROM contacts WHERE workspace_id = %s AND lower(email) = lower(%s)"
    row = await tx.one(query, (workspace_id, email))
    return str(row[0]) if row else None


async def page(
    tx: Tx, workspace_id: str, search: str | None, external_id: str | None, limit: int, offset: int
) -> tuple[list[Contact], int]:
    """Contacts by name and how many there are; `search` is a part of name, mail address or external id."""
    where = """workspace_id = %s AND (%s::text IS NULL OR external_id = %s)
               AND (%s::text IS NULL OR name ILIKE %s OR email ILIKE %s OR external_id ILIKE %s)"""
    pattern = like(search)
    params = (workspace_id, external_id, external_id, search, pattern, pattern, pattern)
    query = f"SELECT {_COLUMNS} FROM contacts WHERE {where} ORDER BY lower(name), id LIMIT %s OFFSET %s"
    found = await tx.all_of(Contact, query, (*params, limit, offset))
    row = await tx.one(f"SELECT count(*) FROM contacts WHERE {where}", params)
    return found, int(row[0]) if row else 0
