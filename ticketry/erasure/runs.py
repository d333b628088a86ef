"""Erasures from their beginning to their end: each step a unit of work of its own, whoever takes it.

A request, a command or the worker's timer may go on with any of them; between two steps nothing is held.
"""

import asyncio
import time
from collections.abc import Collection

import psycopg
import structlog
from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout

from ticketry.attachments import service as attachments
from ticketry.attachments.files import Files, open_files, storage_not_set
from ticketry.core.actor import Actor
from ticketry.core.clock import Clock
from ticketry.core.errors import TicketryError
from ticketry.db.pool import GAVE_UP, Pool, unit
from ticketry.erasure import service, store
from ticketry.erasure.beside import store as beside
from ticketry.erasure.models import Run, Stage
from ticketry.settings import Settings
from ticketry.web.resources import Resources

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds that a request waits for the end of an erasure before it says that it goes on."""
PAUSE = 0.05
"""Seconds until it is asked again whether an erasure may go on."""


def files_of(settings: Settings) -> Files | None:
    """The file store; None where nobody has set one, so that there are no files."""
    try:
        return open_files(settings)
    except TicketryError as error:
        if error.code == "storage_not_set":
            return None
        raise


async def erase(pool: Pool, clock: Clock, settings: Settings, actor: Actor, contact_id: str, patience: float) -> Run:
    """Erases a person and waits for the end, `patience` seconds at the most. Raises `NotFound`."""
    async with unit(pool, clock()) as tx:
        run = await service.begin(tx, actor, contact_id)
    try:
        return await go_on(pool, clock, settings, run.workspace_id, run.id, patience) or run
    except (*GAVE_UP, TicketryError) as error:
        log.warning("an erasure is left to the worker", erasure=run.id, reason=" ".join(str(error).split()))
    return run


async def go_on(
    pool: Pool, clock: Clock, settings: Settings, workspace_id: str, run_id: str, patience: float
) -> Run | None:
    """Takes an erasure as far as `patience` seconds allow; how far it is, None if another process kept it busy."""
    files = files_of(settings)
    end = time.monotonic() + patience
    last: Run | None = None
    outside: set[Stage] = set()
    while True:
        if last is not None and last.stage in service.OUTSIDE - outside:
            await _do_outside(pool, clock, files, last)
            outside.add(last.stage)
        run = await _step(pool, clock, files, workspace_id, run_id, outside)
        if run is not None:
            last = run
            if run.finished_at is not None:
                return run
        if time.monotonic() > end:
            return last
        if run is None:
            await asyncio.sleep(PAUSE)


async def _step(
    pool: Pool, clock: Clock, files: Files | None, workspace_id: str, run_id: str, outside: Collection[Stage]
) -> Run | None:
    """One step further. One that takes longer than a statement may is tried again by halves."""
    try:
        async with unit(pool, clock()) as tx:
            return await service.step(tx, files, workspace_id, run_id, outside=outside)
    except QueryCanceled:
        async with unit(pool, clock()) as tx:
            await store.halve(tx, workspace_id, run_id)
        log.warning("an erasure takes smaller steps", erasure=run_id)
        return None


async def _do_outside(pool: Pool, clock: Clock, files: Files | None, run: Run) -> None:
    """What a stage of `service.OUTSIDE` waits for."""
    if run.stage == "statistics":
        await _renew_statistics(pool, clock)
    elif run.counts.get("files"):
        await _delete_files(pool, clock, files)


async def _renew_statistics(pool: Pool, clock: Clock) -> None:
    """The planner's statistics hold values of the rows that were erased. Table by table: none holds up the feed."""
    async with unit(pool, clock(), atomic=False) as tx:
        tables = await beside.tables(tx)
    for table in tables:
        try:
            async with unit(pool, clock(), atomic=False) as tx:
                await beside.renew_statistics(tx, table)
        except GAVE_UP:
            log.warning("statistics were not made anew; autovacuum will do it in time", table=table)


async def _delete_files(pool: Pool, clock: Clock, files: Files | None) -> None:
    """Deletes what attachments were marked for it. A process that knows no file store leaves it to one that does."""
    if files is None:
        raise storage_not_set()
    await attachments.sweep(pool, clock, files)


async def finish_all(house: Resources, patience: float = PATIENCE) -> int:
    """Goes on with every erasure that has not ended; how many ended. One that fails does not hold up the others."""
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        found = await store.running(tx)
    ended = 0
    for workspace_id, run_id in found:
        try:
            run = await go_on(house.pool, house.clock, house.settings, workspace_id, run_id, patience)
            ended += run is not None and run.finished_at is not None
        except GAVE_UP:
            continue
        except (psycopg.OperationalError, PoolTimeout):
            raise
        except Exception:
            log.exception("an erasure failed; it is tried again", erasure=run_id)
    return ended


async def retain(house: Resources) -> int:
    """Begins to erase tickets that were closed for longer than their workspace keeps them; in how many workspaces."""
    async with unit(house.pool, house.clock()) as tx:
        found = await store.overdue(tx)
        for workspace_id, closed_before in found:
            await service.begin_retention(tx, workspace_id, closed_before)
    return len(found)
