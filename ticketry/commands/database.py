"""How a command reaches the data, beside a running server or without one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from ticketry.core.clock import system_clock
from ticketry.core.errors import OperatorError
from ticketry.db.embedded import embedded
from ticketry.db.migrate import schema_state
from ticketry.db.pool import Pool, Tx, make_pool, unit
from ticketry.settings import Settings

T = TypeVar("T")


@contextmanager
def existing(settings: Settings) -> Iterator[str]:
    """The URL of the database of an installation that was started before; it runs until the block ends.

    OperatorError when there is none: a mistyped folder must not become a second, empty installation.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not (settings.data_dir / "postgres").exists():
        folder = settings.data_dir.absolute()
        raise OperatorError(f"no Ticketry data in {folder}: start `ticketry serve` once, or name another --data-dir")
    with embedded(settings.data_dir) as url:
        yield url


def run(settings: Settings, work: Callable[[Tx], Awaitable[T]]) -> T:
    """The result of `work`, done in one transaction. OperatorError when the database is not there or does not fit."""
    with existing(settings) as url:
        return run_on(url, work)


def run_on(url: str, work: Callable[[Tx], Awaitable[T]]) -> T:
    """The result of `work`, done in one transaction on the database at `url`."""

    async def inside(pool: Pool) -> T:
        async with unit(pool, system_clock()) as tx:
            return await work(tx)

    return run_with_pool(url, inside)


def run_with_pool(url: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    """The result of `work`, which opens units of work of its own."""

    async def inside() -> T:
        await _check_schema(url)
        async with make_pool(url, 2) as pool:
            return await work(pool)

    try:
        return asyncio.run(inside())
    except psycopg.Error as error:
        raise OperatorError(f"the database refused: {' '.join(str(error).split())}") from error


async def _check_schema(url: str) -> None:
    state = await schema_state(url)
    if state.unknown:
        raise OperatorError(
            f"the database is newer than this program, which does not know {', '.join(state.unknown)}: "
            "use the version of Ticketry that the server runs"
        )
    if state.pending:
        raise OperatorError("the database is not set up for this version: run `ticketry migrate` first")
