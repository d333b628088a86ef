"""Deliveries in SQL, but for what the dispatcher does with those that are due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ticketry.db.pool import Tx
from ticketry.webhooks.deliveries.models import (
    Attempt,
    Backlog,
    DeliveriesAsked,
    Delivery,
    DeliveryStatus,
    NewDelivery,
)

PURGED_AT_ONCE = 5_000
CHANGED_AT_ONCE = 2_000
"""Deliveries that one transaction takes up or gives up: whoever waits for them or their endpoint waits for moments."""
COUNTED = 100_000
"""Deliveries that `/metrics` counts at most; one more is told when there are more."""
_SHOWN = """d.id, d.endpoint_id, d.event_id, d.event_type, d.ticket_id, d.status, d.attempts, d.next_attempt_at,
            d.event_at, d.created_at, d.settled_at"""
_INSERT = """INSERT INTO webhook_deliveries (workspace_id, id, endpoint_id, event_id, event_type, ticket_id, position,
                 event_at, round_at, next_attempt_at, created_at)
             SELECT e.workspace_id, n.id, n.endpoint_id, e.id, e.type, e.ticket_id, e.position, e.created_at,
                 %(now)s, %(now)s, %(now)s
             FROM unnest(%(workspace_ids)s::identifier[], %(ids)s::identifier[], %(endpoint_ids)s::identifier[],
                      %(event_ids)s::identifier[]) AS n (workspace_id, id, endpoint_id, event_id)
             JOIN events e ON e.workspace_id = n.workspace_id AND e.id = n.event_id
             ON CONFLICT (workspace_id, event_id, endpoint_id)"""


def _given(tx: Tx, new: Sequence[NewDelivery]) -> dict[str, Any]:
    return {
        "now": tx.now,
        "workspace_ids": [one.workspace_id for one in new],
        "ids": [one.id for one in new],
        "endpoint_ids": [one.endpoint_id for one in new],
        "event_ids": [one.event_id for one in new],
    }


async def insert(tx: Tx, new: Sequence[NewDelivery]) -> None:
    """Stores deliveries, due at once. What is queued already stays as it is."""
    await tx.execute(f"{_INSERT} DO NOTHING", _given(tx, new))


async def insert_or_repeat(tx: Tx, new: Sequence[NewDelivery]) -> int:
    """Stores deliveries, due at once; those that were settled begin anew. How many are sent that were not waiting."""
    query = f"""{_INSERT} DO UPDATE SET status = 'pending', tries = 0, round_at = excluded.round_at,
                    next_attempt_at = excluded.next_attempt_at, settled_at = NULL
                WHERE webhook_deliveries.workspace_id = excluded.workspace_id
                    AND webhook_deliveries.status <> 'pending'"""
    return await tx.execute(query, _given(tx, new))


async def insert_test(tx: Tx, workspace_id: str, endpoint_id: str, ids: tuple[str, str], kind: str, body: str) -> None:
    """Stores a delivery of a message that is no event. `ids` are its own and the message's."""
    await tx.execute(
        """INSERT INTO webhook_deliveries (workspace_id, id, event_id, endpoint_id, event_type, position, body,
               event_at, round_at, next_attempt_at, created_at)
           VALUES (%s, %s, %s, %s, %s, 0, %s, %s, %s, %s, %s)""",
        (workspace_id, *ids, endpoint_id, kind, body, tx.now, tx.now, tx.now, tx.now),
    )


async def events_since(
    tx: Tx, workspace_id: str, since: datetime, types: Sequence[str], limit: int
) -> tuple[list[str], datetime | None]:
    """Ids of what happened from an instant on, oldest first, and the instant of what comes next, if there is more.

    Of all types if none is given. Seconds are taken whole, so there may be some more than `limit`.
    """
    narrowed = "AND type = ANY(%(types)s)" if types else ""
    params = {"workspace_id": workspace_id, "since": since, "types": list(types), "limit": limit}
    query = f"""SELECT id, created_at FROM events WHERE workspace_id = %(workspace_id)s AND created_at >= %(since)s
                {narrowed} ORDER BY created_at FETCH FIRST (%(limit)s) ROWS WITH TIES"""
    found = await tx.all(query, params)
    if not found:
        return [], None
    query = f"""SELECT min(created_at) FROM events WHERE workspace_id = %(workspace_id)s AND created_at > %(last)s
                {narrowed}"""
    following = await tx.one(query, {**params, "last": found[-1][1]})
    return [event_id for event_id, _ in found], following[0] if following else None


async def repeat(tx: Tx, workspace_id: str, delivery_id: str) -> None:
    """Makes a delivery due at once, with all its tries before it."""
    await tx.execute(
        """UPDATE webhook_deliveries SET status = 'pending', tries = 0, round_at = %(now)s, next_attempt_at = %(now)s,
               settled_at = NULL
           WHERE workspace_id = %(workspace_id)s AND id = %(id)s""",
        {"now": tx.now, "workspace_id": workspace_id, "id": delivery_id},
    )


_TAKE_UP = """UPDATE webhook_deliveries d SET tries = 0, round_at = %(at)s, next_attempt_at = %(at)s
    FROM (SELECT workspace_id, id FROM webhook_deliveries
          WHERE workspace_id = %(workspace_id)s AND endpoint_id = %(id)s AND status = 'pending' AND round_at <= %(at)s
              AND (round_at < %(at)s OR tries > 0 OR next_attempt_at > %(at)s)
          LIMIT %(most)s FOR NO KEY UPDATE) part
    WHERE d.workspace_id = part.workspace_id AND d.id = part.id"""


async def take_up(tx: Tx, workspace_id: str, endpoint_id: str, at: datetime) -> bool:
    """Makes what waited for an endpoint at an instant due then, with all its tries before it; whether that was all."""
    given = {"workspace_id": workspace_id, "id": endpoint_id, "at": at, "most": CHANGED_AT_ONCE}
    return await tx.execute(_TAKE_UP, given) < CHANGED_AT_ONCE


async def to_take_up(tx: Tx) -> list[tuple[str, str, datetime]]:
    """Endpoints for which more waits than was taken up when they were switched on: workspace, id, and when that was."""
    rows = await tx.all(
        "SELECT workspace_id, id, taken_up_at FROM webhook_endpoints WHERE enabled AND taken_up_at IS NOT NULL"
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def taken_up(tx: Tx, workspace_id: str, endpoint_id: str, at: datetime) -> None:
    """Notes that all is taken up, unless the endpoint was switched off and on meanwhile."""
    await tx.execute(
        "UPDATE webhook_endpoints SET taken_up_at = NULL WHERE workspace_id = %s AND id = %s AND taken_up_at = %s",
        (workspace_id, endpoint_id, at),
    )


async def give_up(tx: Tx, workspace_id: str, endpoint_id: str) -> None:
    """Ends what waits for an endpoint; of very much only a part, the timer ends the rest."""
    await tx.execute(
        """UPDATE webhook_deliveries d SET status = 'dead', next_attempt_at = NULL, settled_at = %(now)s
           FROM (SELECT workspace_id, id FROM webhook_deliveries
                 WHERE workspace_id = %(workspace_id)s AND endpoint_id = %(id)s AND status = 'pending'
                 LIMIT %(most)s FOR NO KEY UPDATE) part
           WHERE d.workspace_id = part.workspace_id AND d.id = part.id""",
        {"now": tx.now, "workspace_id": workspace_id, "id": endpoint_id, "most": CHANGED_AT_ONCE},
    )


def _narrowed(asked: DeliveriesAsked) -> tuple[str, dict[str, Any]]:
    """The conditions of a list beside the workspace, made of the program's own words, and their values."""
    columns = {"status": "d.status = %(status)s", "event_type": "d.event_type = %(event_type)s"}
    columns |= {"webhook_id": "d.endpoint_id = %(webhook_id)s", "since": "d.event_at >= %(since)s"}
    columns["ticket_id"] = """d.ticket_id = %(ticket_id)s AND d.event_id IN (SELECT id FROM events
        WHERE workspace_id = %(workspace_id)s AND ticket_id = %(ticket_id)s)"""
    given = {name: value for name in columns if (value := getattr(asked, name)) is not None}
    return "".join(f" AND {columns[name]}" for name in given), given


def _delivery(row: tuple[Any, ...]) -> Delivery:
    id_, endpoint, event, kind, ticket, status, attempts, following, event_at, created, settled = row
    known: DeliveryStatus = status
    return Delivery(
        id=id_,
        webhook_id=endpoint,
        event_id=event,
        event_type=kind,
        ticket_id=ticket,
        status=known,
        attempt_count=attempts,
        next_attempt_at=following,
        event_timestamp=event_at,
        created_at=created,
        settled_at=settled,
    )


async def page(tx: Tx, workspace_id: str, asked: DeliveriesAsked) -> tuple[list[Delivery], int]:
    """Deliveries, newest first, and how many there are."""
    narrowed, params = _narrowed(asked)
    params["workspace_id"] = workspace_id
    query = f"""SELECT {_SHOWN} FROM webhook_deliveries d WHERE d.workspace_id = %(workspace_id)s {narrowed}
                ORDER BY d.id DESC LIMIT %(limit)s OFFSET %(offset)s"""
    rows = await tx.all(query, {**params, "limit": asked.per_page, "offset": asked.offset})
    row = await tx.one(
        f"SELECT count(*) FROM webhook_deliveries d WHERE d.workspace_id = %(workspace_id)s {narrowed}", params
    )
    found = [_delivery(row) for row in rows]
    await _add_attempts(tx, workspace_id, found)
    return found, int(row[0]) if row else 0


async def get(tx: Tx, workspace_id: str, delivery_id: str) -> Delivery | None:
    """One delivery with its attempts."""
    query = f"SELECT {_SHOWN} FROM webhook_deliveries d WHERE d.workspace_id = %s AND d.id = %s"
    row = await tx.one(query, (workspace_id, delivery_id))
    found = [_delivery(row)] if row else []
    await _add_attempts(tx, workspace_id, found)
    return found[0] if found else None


async def _add_attempts(tx: Tx, workspace_id: str, found: list[Delivery]) -> None:
    if not found:
        return
    rows = await tx.all(
        """SELECT d.id, a.number, a.started_at, a.duration_ms, a.status_code, a.answer, a.error
           FROM unnest(%s::identifier[]) AS d (id) CROSS JOIN LATERAL (
               SELECT * FROM webhook_attempts WHERE workspace_id = %s AND delivery_id = d.id
               ORDER BY number DESC LIMIT 100) a
           ORDER BY d.id, a.number""",
        ([one.id for one in found], workspace_id),
    )
    of: dict[str, list[Attempt]] = {one.id: [] for one in found}
    for delivery_id, number, started_at, duration, status, answer, error in rows:
        of[delivery_id].append(
            Attempt(
                number=number,
                started_at=started_at,
                duration_ms=duration,
                status_code=status,
                answer=answer,
                error=error,
            )
        )
    for one in found:
        one.attempts = of[one.id]


async def backlog(tx: Tx) -> Backlog:
    """What waits for endpoints that are on, in all workspaces: of very much the first that are found."""
    row = await tx.one(
        """SELECT count(*), min(event_at) FROM (
               SELECT d.event_at FROM webhook_endpoints e
               JOIN webhook_deliveries d ON d.workspace_id = e.workspace_id AND d.endpoint_id = e.id
               WHERE e.enabled AND d.status = 'pending' LIMIT %s) AS waiting""",
        (COUNTED + 1,),
    )
    return Backlog(int(row[0]), row[1]) if row else Backlog(0, None)


async def give_up_waiting(tx: Tx, before: datetime) -> int:
    """Ends what has waited since `before` for endpoints that are off, or at all for deleted ones, some at a time; how
    many."""
    return await tx.execute(
        """UPDATE webhook_deliveries d SET status = 'dead', next_attempt_at = NULL, settled_at = %s
           FROM (SELECT p.workspace_id, p.id FROM webhook_endpoints e
                 JOIN webhook_deliveries p ON p.workspace_id = e.workspace_id AND p.endpoint_id = e.id
                 WHERE NOT e.enabled AND p.status = 'pending' AND (p.round_at <= %s OR e.deleted_at IS NOT NULL)
                 LIMIT %s FOR NO KEY UPDATE OF p SKIP LOCKED) old
           WHERE d.workspace_id = old.workspace_id AND d.id = old.id""",
        (tx.now, before, CHANGED_AT_ONCE),
    )


async def purge(tx: Tx, before: datetime) -> int:
    """Deletes deliveries settled before an instant, with their attempts, some at a time; how many."""
    return await tx.execute(
        """DELETE FROM webhook_deliveries d USING (SELECT workspace_id, id FROM webhook_deliveries
               WHERE settled_at <= %s ORDER BY settled_at LIMIT %s FOR UPDATE SKIP LOCKED) old
           WHERE d.workspace_id = old.workspace_id AND d.id = old.id""",
        (before, PURGED_AT_ONCE),
    )


async def purge_endpoints(tx: Tx, before: datetime) -> int:
    """Deletes endpoints that were deleted before an instant and have no delivery left; how many."""
    return await tx.execute(
        """DELETE FROM webhook_endpoints e WHERE e.deleted_at <= %s AND NOT EXISTS (
               SELECT FROM webhook_deliveries d WHERE d.workspace_id = e.workspace_id AND d.endpoint_id = e.id)""",
        (before,),
    )
