"""Events in SQL: written inside the statement that makes the change, read as history."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx
from ticketry.events.models import Event, EventActor, NewEvent

EVENT_COLUMNS = "id, type, created_at, ticket_id, actor_type, actor_id, actor_name, data"
_GIVEN = ("id", "type", "actor_type", "actor_id", "actor_name", "data")


@lru_cache(maxsize=64)
def _insert_text(count: int, source: str) -> str:
    """The INSERT of `count` events of one ticket; it inserts none if `source` (a CTE) has no row."""
    rows = ", ".join(f"({n}, {', '.join(f'%(event_{name}_{n})s' for name in _GIVEN)}::jsonb)" for n in range(count))
    return f"""
        INSERT INTO events (workspace_id, ticket_id, transaction_id, created_at, {", ".join(_GIVEN)})
        SELECT {source}.workspace_id, {source}.id, {source}.last_transaction, %(event_at)s,
            {", ".join(f"e.{name}" for name in _GIVEN)}
        FROM {source}, (VALUES {rows}) AS e (n, {", ".join(_GIVEN)}) ORDER BY e.n"""


def _given(event: NewEvent) -> tuple[str, ...]:
    return (event.id, event.type, event.actor.type, event.actor.id, event.actor.name, event.data)


def insertion(events: Sequence[NewEvent], source: str) -> tuple[str, dict[str, Any]]:
    """SQL text and parameters that record `events` (of one ticket and instant) for the row of `source`.

    `source` names a CTE with the ticket's workspace_id, id and last_transaction, so that the change and its facts are
    one statement.
    """
    if not events:
        return f"SELECT 1 FROM {source}", {}
    params: dict[str, Any] = {"event_at": events[0].at}
    for n, event in enumerate(events):
        params |= {f"event_{name}_{n}": value for name, value in zip(_GIVEN, _given(event), strict=True)}
    return _insert_text(len(events), source), params


async def insert(tx: Tx, event: NewEvent) -> None:
    """Records a fact that is about the workspace and no ticket."""
    await tx.execute(
        f"INSERT INTO events (workspace_id, created_at, {', '.join(_GIVEN)}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (event.actor.workspace_id, event.at, *_given(event)),
    )


async def history(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn) -> list[Event]:
    """The events of a ticket, oldest first."""
    rows = await tx.all(
        f"""SELECT {EVENT_COLUMNS} FROM events
            WHERE workspace_id = %s AND ticket_id = %s ORDER BY position LIMIT %s OFFSET %s""",
        (workspace_id, ticket_id, asked.per_page, asked.offset),
    )
    return [event_of(row) for row in rows]


def event_of(row: tuple[Any, ...]) -> Event:
    """The event in a row of EVENT_COLUMNS."""
    return Event.model_construct(
        event_id=row[0],
        event_type=row[1],
        timestamp=row[2],
        ticket_id=row[3],
        actor=EventActor.model_construct(type=row[4], id=row[5], name=row[6]),
        data=row[7],
    )


async def count(tx: Tx, workspace_id: str, ticket_id: str) -> int:
    """How many events a ticket has."""
    row = await tx.one(
        "SELECT count(*) FROM events WHERE workspace_id = %s AND ticket_id = %s", (workspace_id, ticket_id)
    )
    return int(row[0]) if row else 0
