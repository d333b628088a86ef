"""The timer of deliveries: what is old goes."""

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, unit
from ticketry.webhooks.deliveries import rules, store


async def purge(pool: Pool, clock: Clock) -> int:
    """Gives up what waited too long for endpoints that are off, and deletes what was settled long ago; how many."""
    now = clock()
    async with unit(pool, now) as tx:
        await store.give_up_waiting(tx, now - rules.WINDOW)
    rows, gone = store.PURGED_AT_ONCE, 0
    while rows == store.PURGED_AT_ONCE:
        async with unit(pool, now) as tx:
            rows = await store.purge(tx, now - rules.KEPT)
        gone += rows
    async with unit(pool, now) as tx:
        await store.purge_endpoints(tx, now - rules.KEPT)
    return gone
