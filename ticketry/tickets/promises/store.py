"""What the SLA clock is replayed from, and which tickets have something due."""

from collections.abc import Sequence
from datetime import datetime

from ticketry.db.pool import Tx
from ticketry.sla.models import Fact
from ticketry.tickets.models import Ticket
from ticketry.tickets.promises.models import Closing
from ticketry.tickets.store import TICKET_COLUMNS, TICKET_SOURCE


async def facts_of(tx: Tx, workspace_id: str, ticket_ids: Sequence[str]) -> dict[str, list[Fact]]:
    """The facts that tickets' clocks mind, from their events, in order. An erasure does not touch the clock."""
    rows = await tx.all(
        """SELECT ticket_id, created_at,
                  CASE type WHEN 'ticket.created' THEN data #>> '{ticket,status}'
                            ELSE data #>> '{changes,status,to}' END,
                  CASE type WHEN 'ticket.created' THEN data #>> '{ticket,priority}'
                            ELSE data #>> '{changes,priority,to}' END,
                  data #>> '{comment,visibility}' = 'public' AND data #>> '{comment,author,type}' = 'user'
           FROM events WHERE workspace_id = %s AND ticket_id = ANY(%s) AND type <> 'ticket.erased'
           ORDER BY ticket_id, position""",
        (workspace_id, list(ticket_ids)),
    )
    found: dict[str, list[Fact]] = {ticket_id: [] for ticket_id in ticket_ids}
    for ticket_id, at, status, priority, responded in rows:
        found[ticket_id].append(Fact(at, status, int(priority) if priority else None, bool(responded)))
    return found


async def ringing(tx: Tx, limit: int) -> list[tuple[str, str]]:
    """Workspace and id of tickets whose clock has something to tell by now, the longest waiting first."""
    rows = await tx.all(
        """SELECT w.id, t.id FROM workspaces w CROSS JOIN LATERAL (
               SELECT id, next_alarm_at FROM tickets
               WHERE workspace_id = w.id AND next_alarm_at <= %s ORDER BY next_alarm_at LIMIT %s) t
           ORDER BY t.next_alarm_at LIMIT %s""",
        (tx.now, limit, limit),
    )
    return [(workspace_id, ticket_id) for workspace_id, ticket_id in rows]


async def long_resolved(tx: Tx, limit: int) -> list[tuple[str, str, int]]:
    """Workspace, id and version of tickets that have been resolved for as long as their workspace allows."""
    rows = await tx.all(
        """SELECT t.workspace_id, t.id, t.version FROM workspaces w
           JOIN tickets t ON t.workspace_id = w.id AND t.status = 'resolved'
           WHERE w.auto_close_days IS NOT NULL AND t.resolved_at <= %s - make_interval(days => w.auto_close_days)
           ORDER BY t.resolved_at LIMIT %s""",
        (tx.now, limit),
    )
    return [(workspace_id, ticket_id, version) for workspace_id, ticket_id, version in rows]


async def batch(
    tx: Tx, workspace_id: str, after_id: str, limit: int, *, only_open: bool, since: datetime | None = None
) -> list[Ticket]:
    """Tickets in order of their ids, after `after_id`; those changed `since`, and open ones alone if asked."""
    where = "t.workspace_id = %(workspace_id)s AND t.id > %(after_id)s"
    where += " AND t.status <> 'closed'" if only_open else ""
    where += " AND t.updated_at >= %(since)s" if since else ""
    query = f"SELECT {TICKET_COLUMNS} FROM {TICKET_SOURCE} WHERE {where} ORDER BY t.id LIMIT %(limit)s"
    params = {"workspace_id": workspace_id, "after_id": after_id, "limit": limit, "since": since}
    return await tx.all_of(Ticket, query, params)


async def count(tx: Tx, workspace_id: str, since: datetime | None = None) -> int:
    """How many tickets there are; those changed `since`."""
    narrowed = "AND updated_at >= %(since)s" if since else ""
    query = f"SELECT count(*) FROM tickets WHERE workspace_id = %(workspace_id)s {narrowed}"
    row = await tx.one(query, {"workspace_id": workspace_id, "since": since})
    return int(row[0]) if row else 0


async def snapshot(tx: Tx) -> None:
    """What this unit reads from now on is as it stands at one moment."""
    await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


async def closings(tx: Tx, workspace_id: str, ticket_ids: Sequence[str]) -> list[Closing]:
    """What the closes of tickets stored for good, ticket by ticket, oldest first."""
    return await tx.all_of(
        Closing,
        """SELECT ticket_id, cycle, response_met, resolution_met, response_due_at, resolution_due_at,
                  first_response_at, resolved_at, closed_at, sla_policy_id, sla_policy_version
           FROM resolutions WHERE workspace_id = %s AND ticket_id = ANY(%s) ORDER BY ticket_id, cycle""",
        (workspace_id, list(ticket_ids)),
    )


async def moves_after(tx: Tx, workspace_id: str, ticket_id: str, at: datetime) -> list[tuple[str | None, int | None]]:
    """The policy and version that a ticket was taken from after an instant, last first; None where it kept it."""
    rows = await tx.all(
        """SELECT data #>> '{changes,sla_policy_id,from}', (data #>> '{changes,sla_policy_version,from}')::integer
           FROM events WHERE workspace_id = %s AND ticket_id = %s AND created_at > %s AND type = 'ticket.updated'
                AND data -> 'changes' ?| ARRAY['sla_policy_id', 'sla_policy_version']
           ORDER BY position DESC""",
        (workspace_id, ticket_id, at),
    )
    return [(policy_id, version) for policy_id, version in rows]
