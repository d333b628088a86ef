"""What the dispatcher asks and writes: many deliveries a statement, since it handles hundreds a second."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ticketry.db.pool import Tx
from ticketry.webhooks.dispatch.models import Config, Due, Health, Key, Settlement
from ticketry.webhooks.endpoints.models import Secrets

LEASE = 15
"""Seconds that an endpoint belongs to a process without being renewed."""
# A row that is known by its id is told to be pending by settled_at: by its status, the index of all that is pending
# would look like a way to it. See migration 16.
_CONFIG = """e.workspace_id, e.id, e.url, e.secret, e.old_secret, e.old_secret_until, e.failing_since,
             e.last_success_at, e.last_failure_at"""
PARKED_AT_ONCE = 1_000
"""Deliveries of one ticket that are parked by one statement."""


def _config(row: tuple[Any, ...]) -> Config:
    workspace_id, id_, url, secret, old, until, *fared = row
    return Config(Key(workspace_id, id_), Secrets(url, secret, old, until), *fared)


def _keys(keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "workspace_ids": [key.workspace_id for key in keys],
        "endpoint_ids": [key.endpoint_id for key in keys],
    }


async def claim(tx: Tx, me: str, limit: int, among: Sequence[Key] | None = None) -> list[Config]:
    """Takes endpoints, `among` these or all, that have something due and belong to no living process.

    Leases go by the database's clock, so that machines need not agree about the time.
    """
    these = """AND (o.workspace_id, o.id) IN (
        SELECT * FROM unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[]))"""
    narrowed = "" if among is None else these
    rows = await tx.all(
        f"""UPDATE webhook_endpoints e SET leased_by = %(me)s, leased_until = now() + make_interval(secs => {LEASE})
            FROM (
                SELECT o.workspace_id, o.id FROM webhook_endpoints o
                WHERE o.enabled {narrowed} AND (o.leased_until IS NULL OR o.leased_until <= now())
                    AND EXISTS (
                        SELECT FROM webhook_deliveries d WHERE d.workspace_id = o.workspace_id
                            AND d.endpoint_id = o.id AND d.status = 'pending' AND d.next_attempt_at <= %(now)s)
                LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED) free
            WHERE e.workspace_id = free.workspace_id AND e.id = free.id
            RETURNING {_CONFIG}""",
        {**_keys(among or ()), "me": me, "now": tx.now, "limit": limit},
    )
    return [_config(row) for row in rows]


_FREE = """SELECT e.workspace_id, e.id FROM webhook_endpoints e
           JOIN unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[]) AS k (workspace_id, id)
               ON e.workspace_id = k.workspace_id AND e.id = k.id
           WHERE e.leased_by = %(me)s FOR NO KEY UPDATE OF e SKIP LOCKED"""
"""Endpoints of ours that nobody is changing: whoever changes one holds up that one and no other."""


async def renew(tx: Tx, me: str, keys: Sequence[Key]) -> set[Key]:
    """Keeps endpoints for a while longer; which. One that somebody is changing right now has to wait."""
    rows = await tx.all(
        f"""UPDATE webhook_endpoints e SET leased_until = now() + make_interval(secs => {LEASE}) FROM ({_FREE}) free
            WHERE e.workspace_id = free.workspace_id AND e.id = free.id RETURNING e.workspace_id, e.id""",
        {**_keys(keys), "me": me},
    )
    return {Key(*row) for row in rows}


async def look_at(tx: Tx, me: str, keys: Sequence[Key]) -> list[Config]:
    """Those of the endpoints that are still ours and on, as they stand now."""
    rows = await tx.all(
        f"""SELECT {_CONFIG} FROM webhook_endpoints e
            JOIN unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[]) AS k (workspace_id, id)
                ON e.workspace_id = k.workspace_id AND e.id = k.id
            WHERE e.leased_by = %(me)s AND e.enabled""",
        {**_keys(keys), "me": me},
    )
    return [_config(row) for row in rows]


async def release(tx: Tx, me: str, keys: Sequence[Key]) -> None:
    """Leaves endpoints to whoever finds something due."""
    await tx.execute(
        f"""UPDATE webhook_endpoints e SET leased_by = NULL, leased_until = NULL FROM ({_FREE}) free
            WHERE e.workspace_id = free.workspace_id AND e.id = free.id""",
        {**_keys(keys), "me": me},
    )


async def release_all(tx: Tx, me: str) -> None:
    """Leaves all of ours, also those that were taken by a statement whose answer was not waited for."""
    await tx.execute(
        """UPDATE webhook_endpoints e SET leased_by = NULL, leased_until = NULL
           FROM workspaces w WHERE e.workspace_id = w.id AND e.leased_by = %s""",
        (me,),
    )


async def due(tx: Tx, wanted: Sequence[tuple[Key, int]]) -> list[Due]:
    """What is due for each endpoint and the first of its ticket, up to a number. What is behind a first that is not due
    is among it, to be parked; what is behind one that is due is passed over.
    """
    rows = await tx.all(
        """SELECT o.workspace_id, o.endpoint_id, d.id, d.event_id, d.event_type, d.event_at, d.ticket_id, d.position,
                  d.attempts, d.tries, d.round_at, d.next_attempt_at, d.waits_until
           FROM unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[], %(most)s::integer[])
                WITH ORDINALITY AS o (workspace_id, endpoint_id, most, n)
           CROSS JOIN LATERAL (
               SELECT p.*, CASE WHEN first.id <> p.id THEN first.next_attempt_at END AS waits_until
               FROM webhook_deliveries p LEFT JOIN LATERAL (
                   SELECT id, next_attempt_at FROM webhook_deliveries
                   WHERE workspace_id = o.workspace_id AND endpoint_id = o.endpoint_id AND ticket_id = p.ticket_id
                       AND status = 'pending'
                   ORDER BY position LIMIT 1) first ON true
               WHERE p.workspace_id = o.workspace_id AND p.endpoint_id = o.endpoint_id AND p.status = 'pending'
                   AND p.next_attempt_at <= %(now)s
                   AND (p.ticket_id IS NULL OR first.id = p.id OR first.next_attempt_at > %(now)s)
               ORDER BY p.next_attempt_at, p.position LIMIT o.most) d
           ORDER BY o.n, d.next_attempt_at, d.position""",
        {**_keys([key for key, _ in wanted]), "most": [most for _, most in wanted], "now": tx.now},
    )
    return [Due(Key(row[0], row[1]), *row[2:]) for row in rows]


async def park(tx: Tx, waiting: Sequence[Due]) -> None:
    """Lets all of the tickets of these wait until the first is due; they are not looked at in the meantime."""
    behind = {(one.key, one.ticket_id): one.waits_until for one in waiting}
    await tx.execute(
        """UPDATE webhook_deliveries d SET next_attempt_at = f.until
           FROM unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[], %(ticket_ids)s::identifier[],
                    %(until)s::timestamptz[]) AS w (workspace_id, endpoint_id, ticket_id, until)
           CROSS JOIN LATERAL (
               SELECT id, w.until FROM (
                   SELECT * FROM webhook_deliveries
                   WHERE workspace_id = w.workspace_id AND endpoint_id = w.endpoint_id AND ticket_id = w.ticket_id
                       AND status = 'pending' ORDER BY position OFFSET 0) behind
               WHERE next_attempt_at < w.until LIMIT %(most)s) f
           WHERE d.workspace_id = w.workspace_id AND d.id = f.id AND d.settled_at IS NULL""",
        {
            **_keys([key for key, _ in behind]),
            "ticket_ids": [ticket_id for _, ticket_id in behind],
            "until": list(behind.values()),
            "most": PARKED_AT_ONCE,
        },
    )


async def contents(tx: Tx, wanted: Sequence[Due]) -> dict[str, tuple[str | None, str | None]]:
    """Per delivery that is still to be sent: its own body, or the data of its event, as JSON text."""
    rows = await tx.all(
        """SELECT d.id, d.body, e.data::text
           FROM unnest(%(workspace_ids)s::identifier[], %(ids)s::identifier[], %(attempts)s::integer[])
                AS w (workspace_id, id, attempts)
           JOIN webhook_deliveries d ON d.workspace_id = w.workspace_id AND d.id = w.id
           LEFT JOIN events e ON e.workspace_id = d.workspace_id AND e.id = d.event_id
           WHERE d.settled_at IS NULL AND d.attempts = w.attempts""",
        {
            "workspace_ids": [one.key.workspace_id for one in wanted],
            "ids": [one.id for one in wanted],
            "attempts": [one.attempts for one in wanted],
        },
    )
    return {delivery_id: (body, data) for delivery_id, body, data in rows}


async def settle(tx: Tx, settled: Sequence[Settlement]) -> None:
    """Records attempts and what they make of their deliveries.

    One whose delivery somebody else has attempted meanwhile (after this process lost the endpoint) is left out. What
    waits behind a delivery that had failed before is due as soon as that one is settled.
    """
    outcomes = [one.outcome for one in settled]
    await tx.execute(
        """WITH given AS (
               SELECT * FROM unnest(%(workspace_ids)s::identifier[], %(ids)s::identifier[], %(numbers)s::integer[],
                   %(statuses)s::text[], %(next)s::timestamptz[], %(started)s::timestamptz[], %(durations)s::integer[],
                   %(codes)s::smallint[], %(answers)s::text[], %(errors)s::text[])
                   AS g (workspace_id, id, number, status, next_attempt_at, started_at, duration_ms, status_code,
                         answer, error)),
           changed AS (
               UPDATE webhook_deliveries d SET status = g.status, next_attempt_at = g.next_attempt_at,
                   attempts = g.number, tries = d.tries + 1,
                   settled_at = CASE WHEN g.status = 'pending' THEN NULL ELSE %(now)s::timestamptz END
               FROM given g WHERE d.workspace_id = g.workspace_id AND d.id = g.id AND d.settled_at IS NULL
                   AND d.attempts = g.number - 1
               RETURNING d.workspace_id, d.id, d.endpoint_id, d.ticket_id, d.position, d.attempts, d.status),
           freed AS (
               UPDATE webhook_deliveries f SET next_attempt_at = %(now)s FROM changed c
               WHERE c.attempts > 1 AND c.status <> 'pending' AND f.workspace_id = c.workspace_id
                   AND f.endpoint_id = c.endpoint_id AND f.ticket_id = c.ticket_id AND f.status = 'pending'
                   AND f.position > c.position AND f.tries = 0)
           INSERT INTO webhook_attempts (workspace_id, delivery_id, number, started_at, duration_ms, status_code,
               answer, error)
           SELECT workspace_id, id, number, started_at, duration_ms, status_code, answer, error
           FROM given JOIN changed USING (workspace_id, id)""",
        {
            "now": tx.now,
            "workspace_ids": [one.due.key.workspace_id for one in settled],
            "ids": [one.due.id for one in settled],
            "numbers": [one.due.attempts + 1 for one in settled],
            "statuses": [one.status for one in settled],
            "next": [one.next_attempt_at for one in settled],
            "started": [outcome.started_at for outcome in outcomes],
            "durations": [outcome.duration_ms for outcome in outcomes],
            "codes": [outcome.status_code for outcome in outcomes],
            "answers": [outcome.answer for outcome in outcomes],
            "errors": [outcome.error for outcome in outcomes],
        },
    )


async def forget_echoes(tx: Tx, settled: Sequence[Settlement]) -> None:
    """Drops what receivers answered to words that were erased while they answered. To be run after `settle`: whoever
    erases holds the delivery meanwhile.
    """
    await tx.execute(
        """UPDATE webhook_attempts a SET answer = NULL
           FROM unnest(%(workspace_ids)s::identifier[], %(ids)s::identifier[], %(numbers)s::integer[])
                AS g (workspace_id, id, number)
           JOIN webhook_deliveries d ON d.workspace_id = g.workspace_id AND d.id = g.id
           WHERE a.workspace_id = g.workspace_id AND a.delivery_id = g.id AND a.number = g.number
               AND a.answer IS NOT NULL AND EXISTS (
                   SELECT FROM event_erasures x WHERE x.workspace_id = d.workspace_id AND x.event_id = d.event_id
                       AND x.erased_at >= a.started_at)""",
        {
            "workspace_ids": [one.due.key.workspace_id for one in settled],
            "ids": [one.due.id for one in settled],
            "numbers": [one.due.attempts + 1 for one in settled],
        },
    )


async def note_health(tx: Tx, found: Sequence[Health]) -> None:
    """Writes down how endpoints fare; not of one that somebody is changing right now, its next call will tell."""
    await tx.execute(
        """WITH given AS (
               SELECT * FROM unnest(%(workspace_ids)s::identifier[], %(endpoint_ids)s::identifier[],
                   %(failing)s::timestamptz[], %(success)s::timestamptz[], %(failure)s::timestamptz[])
                   AS h (workspace_id, id, failing_since, last_success_at, last_failure_at)),
           free AS (
               SELECT e.workspace_id, e.id FROM webhook_endpoints e JOIN given USING (workspace_id, id)
               WHERE e.deleted_at IS NULL FOR NO KEY UPDATE OF e SKIP LOCKED)
           UPDATE webhook_endpoints e SET last_success_at = h.last_success_at, failing_since = h.failing_since,
               last_failure_at = h.last_failure_at
           FROM given h JOIN free USING (workspace_id, id) WHERE e.workspace_id = h.workspace_id AND e.id = h.id""",
        {
            **_keys([one.key for one in found]),
            "failing": [one.failing_since for one in found],
            "success": [one.last_success_at for one in found],
            "failure": [one.last_failure_at for one in found],
        },
    )


async def switch_off(tx: Tx, key: Key, failing_since: datetime, reason: str) -> bool:
    """Switches an endpoint off, unless somebody has switched it off, or off and on, meanwhile."""
    query = """UPDATE webhook_endpoints SET enabled = false, disabled_reason = %s, updated_at = %s
               WHERE workspace_id = %s AND id = %s AND enabled AND failing_since = %s"""
    return await tx.execute(query, (reason, tx.now, key.workspace_id, key.endpoint_id, failing_since)) == 1
