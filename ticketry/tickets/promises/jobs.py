"""The timers of promises: each ticket in a unit of work of its own, so that one cannot hold up the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ticketry.core.clock import Clock
from ticketry.db.pool import GAVE_UP, Pool, Tx, unit
from ticketry.tickets.promises import service, store

log = structlog.get_logger()

AT_ONCE = 200
AT_A_TIME = 4
Due = TypeVar("Due")


async def ring_alarms(pool: Pool, clock: Clock) -> int:
    """Tells every warning and breach that is due; of how many tickets."""
    return await _each(pool, clock, store.ringing, lambda tx, due: service.ring(tx, *due))


async def close_resolved(pool: Pool, clock: Clock) -> int:
    """Closes the tickets that have been resolved for as long as their workspace allows; how many."""
    return await _each(pool, clock, store.long_resolved, lambda tx, due: service.auto_close(tx, *due))


async def _each(
    pool: Pool,
    clock: Clock,
    find: Callable[[Tx, int], Awaitable[list[Due]]],
    work: Callable[[Tx, Due], Awaitable[bool]],
) -> int:
    """Works on all that is due, the longest waiting first. What fails is logged and left for the next time."""
    failed: set[Due] = set()
    done = 0
    while True:
        async with unit(pool, clock(), atomic=False) as tx:
            found = await find(tx, AT_ONCE + len(failed))
        due = [one for one in found if one not in failed]
        if not due:
            return done
        for start in range(0, len(due), AT_A_TIME):
            chunk = due[start : start + AT_A_TIME]
            worked = await _at_once([_one(pool, clock, one, work) for one in chunk])
            done += sum(worked)
            failed.update(one for one, well in zip(chunk, worked, strict=True) if not well)


async def _at_once(works: Sequence[Awaitable[bool]]) -> list[bool]:
    """All results; the first error is raised when all have ended, so that nothing goes on unseen."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one is True for one in ended]


async def _one(pool: Pool, clock: Clock, due: Due, work: Callable[[Tx, Due], Awaitable[bool]]) -> bool:
    try:
        async with unit(pool, clock()) as tx:
            return await work(tx, due)
    except GAVE_UP:
        return False
    except (psycopg.OperationalError, PoolTimeout):
        raise
    except Exception:
        log.exception("an SLA timer failed", due=due)
        return False
