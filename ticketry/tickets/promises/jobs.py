"""The timers of promises: each ticket in a unit of work of its own, so that one cannot hold up the others."""

import structlog

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, unit
from ticketry.tickets.promises import service, store

log = structlog.get_logger()

AT_ONCE = 200
MOST_ROUNDS = 500


async def ring_alarms(pool: Pool, clock: Clock) -> int:
    """Tells every warning and breach that is due; how many tickets had one."""
    rung = 0
    for _ in range(MOST_ROUNDS):
        async with unit(pool, clock(), atomic=False) as tx:
            waiting = await store.ringing(tx, AT_ONCE)
        for workspace_id, ticket_id in waiting:
            async with unit(pool, clock()) as tx:
                rung += await service.ring(tx, workspace_id, ticket_id)
        if len(waiting) < AT_ONCE:
            break
    return rung


async def close_resolved(pool: Pool, clock: Clock) -> int:
    """Closes the tickets that have been resolved for as long as their workspace allows; how many."""
    closed = 0
    for _ in range(MOST_ROUNDS):
        async with unit(pool, clock(), atomic=False) as tx:
            waiting = await store.long_resolved(tx, AT_ONCE)
        done = 0
        for workspace_id, ticket_id, version in waiting:
            async with unit(pool, clock()) as tx:
                done += await service.auto_close(tx, workspace_id, ticket_id, version)
        closed += done
        if len(waiting) < AT_ONCE or not done:
            break
    return closed
