"""The relay: hands every event on to the subscribers, as soon as its place in the feed is final."""

import asyncio
import contextlib
from collections.abc import Sequence

from ticketry.db.pool import unit
from ticketry.feed import service
from ticketry.feed.service import Subscriber
from ticketry.web.resources import Resources

LOOK = 0.5
"""Seconds between two looks for events that other processes have written."""
GATHER = 0.03
"""Seconds that a busy relay lets pass between two rounds, so that one round serves many events."""


async def relay(house: Resources, subscribers: Sequence[Subscriber]) -> None:
    """Works until cancelled. Several may run: in each round one of them is at work and the others find nothing."""
    while True:
        house.news.written.clear()
        async with unit(house.pool, house.clock()) as tx:
            found = await service.hand_on(tx, subscribers)
        if found:
            await asyncio.sleep(GATHER)
            continue
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(house.news.written.wait(), LOOK)
        await asyncio.sleep(GATHER)
