"""Links in SQL. What a ticket is once (`duplicate_of`, `follow_up_of`) it holds itself; related pairs are rows."""

import asyncio
import random
from typing import Any

from ticketry.core.errors import Busy
from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx
from ticketry.tickets.links.models import Link, LinkEnd, LinkType
from ticketry.tickets.models import Ticket
from ticketry.tickets.rules import label, number_of
from ticketry.tickets.store import TICKET_COLUMNS, TICKET_SOURCE

_MOST = 10_000
"""Tickets of one chain; it is never so long, but an error in the data must not make a query endless."""
_LOCK = "hashtextextended('links/' || %s, 0)"
PAUSE, TRIES = 0.02, 400
"""Seconds that one waits between two tries on average, and tries: eight seconds, as for other locks."""


async def lock(tx: Tx, workspace_id: str) -> None:
    """Lets one at a time change links of a workspace, until the transaction ends.

    Who has done nothing before waits without a connection: however many change links of one workspace at once, others
    get theirs. Raises `Busy` if it takes too long.
    """
    if not tx.untouched:
        await tx.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", (workspace_id,))
        return
    for _ in range(TRIES):
        if await tx.begins(f"SELECT pg_try_advisory_xact_lock({_LOCK})", (workspace_id,)):
            return
        await asyncio.sleep(random.uniform(0, 2 * PAUSE))  # noqa: S311 - spreads the tries, guards nothing
    raise Busy("links_busy", "Links of the workspace are being changed by too many at once; try again")


async def hold(tx: Tx, workspace_id: str, ticket_id: str) -> None:
    """Keeps a ticket as it is, but for what this transaction does, until it ends."""
    query = "SELECT 1 FROM tickets WHERE workspace_id = %s AND id = %s FOR NO KEY UPDATE"
    await tx.execute(query, (workspace_id, ticket_id))


async def chain(tx: Tx, workspace_id: str, reference: str, kind: LinkType = "duplicate_of") -> list[Ticket]:
    """A ticket by id or number, and the tickets that it leads to by links of this kind, in order."""
    number = number_of(reference)
    column, value = ("id", reference) if number is None else ("number", number)
    return await tx.all_of(
        Ticket,
        f"""WITH RECURSIVE chain (step, id, next) AS (
                SELECT 0, id, {kind} FROM tickets WHERE workspace_id = %(workspace_id)s AND {column} = %(value)s
                UNION ALL
                SELECT c.step + 1, t.id, t.{kind} FROM chain c
                JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = c.next WHERE c.step < {_MOST})
            SELECT {TICKET_COLUMNS} FROM chain c
            JOIN {TICKET_SOURCE} ON t.workspace_id = %(workspace_id)s AND t.id = c.id ORDER BY c.step""",
        {"workspace_id": workspace_id, "value": value},
    )


async def related(tx: Tx, workspace_id: str, one: str, other: str) -> bool:
    """Whether two tickets are related."""
    row = await tx.one(
        "SELECT 1 FROM ticket_relations WHERE workspace_id = %s AND ticket_id = %s AND other_id = %s",
        (workspace_id, *sorted((one, other))),
    )
    return row is not None


async def relate(tx: Tx, workspace_id: str, one: str, other: str) -> None:
    """Makes two tickets related."""
    await tx.execute(
        "INSERT INTO ticket_relations (workspace_id, ticket_id, other_id, created_at) VALUES (%s, %s, %s, %s)",
        (workspace_id, *sorted((one, other)), tx.now),
    )


async def part(tx: Tx, workspace_id: str, one: str, other: str) -> None:
    """Makes two tickets unrelated."""
    await tx.execute(
        "DELETE FROM ticket_relations WHERE workspace_id = %s AND ticket_id = %s AND other_id = %s",
        (workspace_id, *sorted((one, other))),
    )


_LINKS = """
    SELECT 1, 'duplicate_of', duplicate_of FROM tickets
        WHERE workspace_id = %(workspace_id)s AND id = %(ticket_id)s AND duplicate_of IS NOT NULL
    UNION ALL
    SELECT 2, 'duplicated_by', id FROM tickets
        WHERE workspace_id = %(workspace_id)s AND duplicate_of = %(ticket_id)s
    UNION ALL
    SELECT 3, 'follow_up_of', follow_up_of FROM tickets
        WHERE workspace_id = %(workspace_id)s AND id = %(ticket_id)s AND follow_up_of IS NOT NULL
    UNION ALL
    SELECT 4, 'followed_up_by', id FROM tickets
        WHERE workspace_id = %(workspace_id)s AND follow_up_of = %(ticket_id)s
    UNION ALL
    SELECT 5, 'related_to', other_id FROM ticket_relations
        WHERE workspace_id = %(workspace_id)s AND ticket_id = %(ticket_id)s
    UNION ALL
    SELECT 5, 'related_to', ticket_id FROM ticket_relations
        WHERE workspace_id = %(workspace_id)s AND other_id = %(ticket_id)s"""
"""All links of a ticket as (place, type, the other ticket)."""


async def page(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn) -> list[Link]:
    """The links of a ticket: duplicates first, then follow-ups, then what is related; each kind in order of number."""
    rows = await tx.all(
        f"""WITH links (place, type, other_id) AS ({_LINKS}),
            shown AS (
                SELECT l.place, l.type, t.id, t.number, t.subject, t.status, t.duplicate_of FROM links l
                JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = l.other_id
                ORDER BY l.place, t.number LIMIT %(limit)s OFFSET %(offset)s)
            SELECT s.type, s.id, s.number, s.subject, s.status, o.id, o.number FROM shown s
            LEFT JOIN LATERAL (
                WITH RECURSIVE chain (step, id, number, next) AS (
                    SELECT 0, s.id::text, s.number, s.duplicate_of::text WHERE s.type = 'duplicate_of'
                    UNION ALL
                    SELECT c.step + 1, t.id::text, t.number, t.duplicate_of::text FROM chain c
                    JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = c.next WHERE c.step < {_MOST})
                SELECT id, number FROM chain WHERE next IS NULL AND step > 0) o ON true
            ORDER BY s.place, s.number""",
        {"workspace_id": workspace_id, "ticket_id": ticket_id, "limit": asked.per_page, "offset": asked.offset},
    )
    return [_link(row) for row in rows]


def _link(row: tuple[Any, ...]) -> Link:
    kind, id_, number, subject, status, original_id, original_number = row
    original = LinkEnd(ticket_id=original_id, number=label(original_number)) if original_id else None
    return Link(type=kind, ticket_id=id_, number=label(number), subject=subject, status=status, original=original)


async def count(tx: Tx, workspace_id: str, ticket_id: str) -> int:
    """How many links a ticket has."""
    query = f"WITH links (place, type, other_id) AS ({_LINKS}) SELECT count(*) FROM links"
    row = await tx.one(query, {"workspace_id": workspace_id, "ticket_id": ticket_id})
    return int(row[0]) if row else 0
