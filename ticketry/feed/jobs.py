"""The relay: hands every event on to the subscribers, as soon as its place in the feed is final."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog
from psycopg.errors import QueryCanceled

from ticketry.db.pool import unit
from ticketry.feed import service
from ticketry.feed.service import Subscriber
from ticketry.web.resources import Resources

log = structlog.get_logger()

LOOK = 0.5
"""Seconds between two looks for events that other processes have written."""
GATHER = 0.03
"""Seconds that a busy relay lets pass between two rounds, so that one round serves many events."""


async def relay(house: Resources, subscribers: Sequence[Subscriber]) -> None:
    """Works until cancelled. Several may run: in each round one of them is at work and the others find nothing."""
    pace = service.Pace()
    while True:
        house.news.written.clear()
        try:
            async with unit(house.pool, house.clock()) as tx:
                found = await service.hand_on(tx, subscribers, pace)
        except QueryCanceled:
            pace.slower()
            log.warning("the relay takes fewer events at a time", most=pace.most)
            await asyncio.sleep(GATHER)
            continue
        if found:
            await asyncio.sleep(GATHER)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):  # wait_for may swallow a cancellation
                await house.news.written.wait()
        await asyncio.sleep(GATHER)
