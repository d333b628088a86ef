"""Events in SQL: written inside the statement that makes the change, read as history."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx
from ticketry.events.models import Event, EventActor, NewEvent


@lru_cache(maxsize=64)
def _insert_text(count: int, source: str) -> str:
    """The INSERT of `count` events of one ticket; it inserts none if `source` (a CTE) has no row."""
    rows = ", ".join(f"({n}, %(event_id_{n})s, %(event_type_{n})s, %(event_data_{n})s::jsonb)" for n in range(count))
    return f"""
        INSERT INTO events (workspace_id, id, type, ticket_id, actor_type, actor_id, actor_name, created_at, data)
        SELECT {source}.workspace_id, e.id, e.type, {source}.id, %(actor_type)s, %(actor_id)s, %(actor_name)s,
               %(event_at)s, e.data
        FROM {source}, (VALUES {rows}) AS e (n, id, type, data) ORDER BY e.n"""


def insertion(events: Sequence[NewEvent], source: str) -> tuple[str, dict[str, Any]]:
    """SQL text and parameters that record `events` (one or more, of one ticket and actor) for the row of `source`.

    `source` names a CTE with the ticket's workspace_id and id, so that the change and its facts are one statement.
    """
    first = events[0]
    params: dict[str, Any] = {
        "actor_type": first.actor.type,
        "actor_id": first.actor.id,
        "actor_name": first.actor.name,
        "event_at": first.at,
    }
    for n, event in enumerate(events):
        params[f"event_id_{n}"] = event.id
        params[f"event_type_{n}"] = event.type
        params[f"event_data_{n}"] = event.data
    return _insert_text(len(events), source), params


async def history(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn) -> list[Event]:
    """The events of a ticket, oldest first."""
    rows = await tx.all(
        """SELECT id, type, created_at, ticket_id, actor_type, actor_id, actor_name, data FROM events
           WHERE workspace_id = %s AND ticket_id = %s ORDER BY position LIMIT %s OFFSET %s""",
        (workspace_id, ticket_id, asked.per_page, asked.offset),
    )
    return [
        Event.model_construct(
            event_id=row[0],
            event_type=row[1],
            timestamp=row[2],
            ticket_id=row[3],
            actor=EventActor.model_construct(type=row[4], id=row[5], name=row[6]),
            data=row[7],
        )
        for row in rows
    ]


async def count(tx: Tx, workspace_id: str, ticket_id: str) -> int:
    """How many events a ticket has."""
    row = await tx.one(
        "SELECT count(*) FROM events WHERE workspace_id = %s AND ticket_id = %s", (workspace_id, ticket_id)
    )
    return int(row[0]) if row else 0
