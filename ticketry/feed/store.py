"""The feed in SQL: events in the order of their places, up to where no earlier one can appear any more."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ticketry.db.pool import Tx
from ticketry.events.models import Event
from ticketry.events.store import EVENT_COLUMNS, event_of
from ticketry.feed.models import Place, Settled

SCANNED = 5_000
"""Events of other types that one call passes over at most: a rare type costs no more than a common one."""
BATCH = 200
"""Events of one workspace that a round of the relay hands on at most: a busy one does not hold up the others."""
MOST = 2_000
"""Events of all workspaces that a round hands on at most: it has to be over in time."""
_RELAY_LOCK = 7_205_759_403_792_802  # any number that nobody else uses


async def place_of(tx: Tx, workspace_id: str, event_id: str) -> Place | None:
    """Where an event stands."""
    row = await tx.one(
        "SELECT transaction_id, position FROM events WHERE workspace_id = %s AND id = %s", (workspace_id, event_id)
    )
    return None if row is None else Place(*row)


class Stretch(NamedTuple):
    """A piece of the feed: one event more than asked for if there is one, the last looked at, and whether that was all.

    Events of other types are looked at and passed over.
    """

    events: list[Event]
    last: str | None
    ended: bool


async def stretch(
    tx: Tx, workspace_id: str, after: Place, ticket_id: str | None, types: Sequence[str] | None, limit: int
) -> Stretch:
    """The events that come next. One statement, so that what is passed over and what is shown are of one moment."""
    scanned = limit + 1 if types is None else SCANNED
    rows = await tx.all(
        _STRETCH_OF_TICKET if ticket_id is not None else _STRETCH,
        {
            "workspace_id": workspace_id,
            "ticket_id": ticket_id,
            "types": types,
            "limit": limit + 1,
            "scanned": scanned,
            **after._asdict(),
        },
    )
    shown = [event_of(row) for row in rows if row[8] is None]
    last = next((row for row in rows if row[8] is not None), None)
    return Stretch(shown, last[0] if last else None, last is None or last[8] < scanned)


def _stretch_text(of_ticket: str = "") -> str:
    return f"""
        WITH looked_at AS MATERIALIZED (
            SELECT * FROM events
            WHERE workspace_id = %(workspace_id)s {of_ticket} AND transaction_id < feed_horizon()
                AND (transaction_id, position) > (%(transaction)s, %(position)s)
            ORDER BY transaction_id, position LIMIT %(scanned)s
        ), shown AS (
            SELECT * FROM looked_at WHERE %(types)s::text[] IS NULL OR type = ANY(%(types)s)
            ORDER BY transaction_id, position LIMIT %(limit)s
        ), last AS (
            SELECT * FROM looked_at ORDER BY transaction_id DESC, position DESC LIMIT 1
        )
        SELECT {EVENT_COLUMNS}, NULL::bigint AS passed, transaction_id, position FROM shown
        UNION ALL
        SELECT id, type, created_at, ticket_id, actor_type, actor_id, actor_name, NULL,
            (SELECT count(*) FROM looked_at), transaction_id, position FROM last
        ORDER BY transaction_id, position"""


_STRETCH = _stretch_text()
_STRETCH_OF_TICKET = _stretch_text("AND ticket_id = %(ticket_id)s")


# ---- the relay


async def take_relay(tx: Tx) -> bool:
    """Whether this transaction is the one relay of the installation, until it ends."""
    row = await tx.one("SELECT pg_try_advisory_xact_lock(%s)", (_RELAY_LOCK,))
    return row is not None and bool(row[0])


async def settled(tx: Tx, most: int, after: str) -> list[tuple[Settled, Place]]:
    """Up to `most` events that were not handed on yet, each workspace's in the feed's order; the workspaces that come
    after `after` first. The limit stops a loop over the workspaces, so of the last one it takes a beginning.
    """
    rows = await tx.all(
        """SELECT * FROM (
               SELECT w.id, e.id, e.type, e.ticket_id, e.actor_type, e.actor_id, e.created_at, e.transaction_id,
                   e.position
               FROM (SELECT id, id <= %(after)s AS had FROM workspaces ORDER BY had, id) AS w
               LEFT JOIN feed_cursors c ON c.workspace_id = w.id, LATERAL (
                   SELECT * FROM events
                   WHERE workspace_id = w.id AND transaction_id < feed_horizon()
                       AND (transaction_id, position) > (coalesce(c.transaction_id, 0), coalesce(c.position, 0))
                   ORDER BY transaction_id, position LIMIT %(batch)s) AS e
               LIMIT %(most)s) AS found (workspace_id, id, type, ticket_id, actor_type, actor_id, created_at,
                   transaction_id, place)
           ORDER BY workspace_id <= %(after)s, workspace_id, transaction_id, place""",
        {"after": after, "batch": min(BATCH, most), "most": most},
    )
    return [(Settled(*row[:7]), Place(*row[7:])) for row in rows]


async def advance(tx: Tx, reached: Iterable[tuple[str, Place]]) -> None:
    """Notes how far each workspace's events are handed on."""
    given: list[tuple[Any, ...]] = [(workspace_id, *place) for workspace_id, place in reached]
    workspaces, transactions, positions = (list(column) for column in zip(*given, strict=True))
    await tx.execute(
        """INSERT INTO feed_cursors (workspace_id, transaction_id, position)
           SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])
           ON CONFLICT (workspace_id) DO UPDATE
               SET transaction_id = excluded.transaction_id, position = excluded.position""",
        (workspaces, transactions, positions),
    )


async def oldest(tx: Tx) -> datetime | None:
    """When the oldest event happened that was not handed on yet, in all workspaces."""
    row = await tx.one(
        """SELECT min(e.created_at) FROM workspaces w LEFT JOIN feed_cursors c ON c.workspace_id = w.id, LATERAL (
               SELECT created_at FROM events
               WHERE workspace_id = w.id
                   AND (transaction_id, position) > (coalesce(c.transaction_id, 0), coalesce(c.position, 0))
               ORDER BY transaction_id, position LIMIT 1) AS e"""
    )
    return row[0] if row else None


async def announce(tx: Tx, channel: str, workspaces: Sequence[str]) -> None:
    """Wakes those who wait for news of these workspaces, in all processes, when the transaction ends."""
    await tx.execute("SELECT pg_notify(%s, told) FROM unnest(%s::text[]) AS told", (channel, workspaces))
