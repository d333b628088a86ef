"""The timers of deliveries: what was begun by a call is finished, and what is old goes."""

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, unit
from ticketry.webhooks.deliveries import rules, store


async def finish(pool: Pool, clock: Clock) -> int:
    """Goes on where the call that switched an endpoint on or deleted it stopped, and gives up what waited too long for
    endpoints that are off; how many were given up."""
    async with unit(pool, clock()) as tx:
        endpoints = await store.to_take_up(tx)
    for workspace_id, endpoint_id, at in endpoints:
        done = False
        while not done:
            async with unit(pool, clock()) as tx:
                done = await store.take_up(tx, workspace_id, endpoint_id, at)
        async with unit(pool, clock()) as tx:
            await store.taken_up(tx, workspace_id, endpoint_id, at)
    rows, gone = store.CHANGED_AT_ONCE, 0
    while rows == store.CHANGED_AT_ONCE:
        now = clock()
        async with unit(pool, now) as tx:
            rows = await store.give_up_waiting(tx, now - rules.WINDOW)
        gone += rows
    return gone


async def purge(pool: Pool, clock: Clock) -> int:
    """Deletes what was settled long ago; how many."""
    now = clock()
    rows, gone = store.PURGED_AT_ONCE, 0
    while rows == store.PURGED_AT_ONCE:
        async with unit(pool, now) as tx:
            rows = await store.purge(tx, now - rules.KEPT)
        gone += rows
    async with unit(pool, now) as tx:
        await store.purge_endpoints(tx, now - rules.KEPT)
    return gone
