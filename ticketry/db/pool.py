"""Connections, and the unit of work that the edge opens for a request, a job or a command."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import structlog
from psycopg import AsyncCursor, AsyncRawCursor, DatabaseError, Error
from psycopg.errors import DeadlockDetected, InFailedSqlTransaction, LockNotAvailable, QueryCanceled
from psycopg.pq import TransactionStatus
from psycopg.rows import AsyncRowFactory, tuple_row
from psycopg_pool import AsyncConnectionPool

from ticketry.core.errors import Conflict
from ticketry.db.binding import bound, register
from ticketry.db.connection import Connection
from ticketry.db.rows import rows_of
from ticketry.db.sql import compiled

log = structlog.get_logger()

PREPARED_FROM = 2
"""How often a connection runs a statement before it prepares it."""
GAVE_UP = (DeadlockDetected, LockNotAvailable, QueryCanceled)
"""A statement that met a limit of `_configure` or another's lock: it may succeed when it is tried again."""
REFUSED = "TK409"
"""What our triggers raise where a rule of the API stands in the database: message and detail are its code and words."""
Row = TypeVar("Row")
Params = Mapping[str, Any] | Sequence[Any] | None
Pool = AsyncConnectionPool[Connection]


def make_pool(database_url: str, size: int, *, keep: int = 2) -> Pool:
    """A pool of at most `size` connections, not yet open, of which `keep` stay when there is nothing to do.

    Sessions speak UTC and prepare what they repeat.
    """
    return AsyncConnectionPool(
        database_url,
        min_size=min(keep, size),
        max_size=size,
        open=False,
        timeout=10,
        connection_class=Connection,
        kwargs={
            "autocommit": True,
            "prepare_threshold": PREPARED_FROM,
            "application_name": "ticketry",
        },
        configure=_configure,
        check=None,
    )


async def _configure(conn: Connection) -> None:
    """A session of ours. The limits keep one costly request from holding up all others (milliseconds)."""
    register(conn)
    await conn.execute(
        "SELECT set_config(name, value, false) FROM (VALUES ('TimeZone', 'UTC'), ('statement_timeout', '20000'), "
        "('lock_timeout', '8000'), ('idle_in_transaction_session_timeout', '60000')) AS s (name, value)"
    )


async def living_connection(pool: Pool) -> Connection:
    """A connection whose server is still there: after a restart of the database the old ones are thrown away."""
    while True:
        conn = await pool.getconn()
        if not conn.speaks_unasked():
            return conn
        await conn.close()
        await pool.putconn(conn)


async def _command(conn: Connection, command: str) -> str | None:
    """Runs BEGIN, COMMIT or ROLLBACK; what PostgreSQL says was done.

    psycopg would forget all prepared statements at a rollback, for tables may have been made and taken back. Ours live
    on: every refused request would otherwise have its connection prepare them anew.
    """
    conn.prepare_threshold = None
    try:
        return (await conn.execute(command)).statusmessage
    finally:
        conn.prepare_threshold = PREPARED_FROM


class refusals:  # noqa: N801 - it is called like a function
    """Turns what our triggers raise into the error of the API that it stands for."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if isinstance(error, DatabaseError) and error.sqlstate == REFUSED:
            raise Conflict(error.diag.message_primary or "", error.diag.message_detail or "") from error


class Tx:
    """One unit of work: its instant and, from the first statement on, one connection.

    Atomic units run in a transaction that begins with the first statement. A unit that is not atomic runs each
    statement by itself: for reads, and for use cases that write by exactly one statement (see docs/decisions).
    Only `unit` below commits.
    """

    __slots__ = ("_atomic", "_conn", "_pool", "now")

    def __init__(self, pool: Pool, now: datetime, atomic: bool) -> None:
        self.now = now
        self._pool = pool
        self._atomic = atomic
        self._conn: Connection | None = None

    def together(self) -> None:
        """All statements of this unit stand or fall together, also where its kind mostly needs one. To be called
        before the first one."""
        assert self._conn is None or self._atomic, "the unit has begun"
        self._atomic = True

    async def conn(self) -> Connection:
        """The unit's connection, for COPY, pipelines or a library that wants it."""
        if self._conn is None:
            self._conn = await living_connection(self._pool)
            if self._atomic:
                await _command(self._conn, "BEGIN")
        return self._conn

    async def execute(self, query: str, params: Params = None) -> int:
        """Runs one statement; how many rows it touched."""
        return (await self._run(query, params, tuple_row)).rowcount

    async def one(self, query: str, params: Params = None) -> tuple[Any, ...] | None:
        """The first row as a tuple, or None."""
        return await (await self._run(query, params, tuple_row)).fetchone()

    async def all(self, query: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows as tuples."""
        return await (await self._run(query, params, tuple_row)).fetchall()

    async def one_of(self, kind: type[Row], query: str, params: Params = None) -> Row | None:
        """The first row as `kind`, whose fields are named like the columns, or None."""
        return await (await self._run(query, params, rows_of(kind, query))).fetchone()  # type: ignore[arg-type]

    async def all_of(self, kind: type[Row], query: str, params: Params = None) -> list[Row]:
        """All rows as `kind`."""
        return await (await self._run(query, params, rows_of(kind, query))).fetchall()  # type: ignore[arg-type]

    async def _run(self, query: str, params: Params, rows: AsyncRowFactory[Row]) -> AsyncCursor[Row]:
        conn = self._conn or await self.conn()
        cursor = AsyncRawCursor(conn, row_factory=rows)
        if params is None:
            return await cursor.execute(query, binary=True)
        ready = compiled(query)
        with refusals():
            return await cursor.execute(ready.text, bound(conn, ready, params), binary=True)

    async def need_not_last(self) -> None:
        """Lets this unit commit without waiting for the disk. Should the database crash within the next second, what it
        wrote may be gone: for background work that would then be done again. Closes are spared the company at the disk.
        """
        await self.execute("SET LOCAL synchronous_commit = off")

    @property
    def untouched(self) -> bool:
        """Whether the unit has asked nothing of the database yet."""
        return self._conn is None

    async def begins(self, query: str, params: Params = None) -> bool:
        """Whether the unit can begin with this, for instance with a lock that is free.

        If not it has not begun: it waits without a connection, and may be asked again.
        """
        assert self.untouched, "the unit has begun"
        row = await self.one(query, params)
        if row is not None and row[0]:
            return True
        await self.close(None)
        return False

    async def rest(self) -> None:
        """Gives the connection back until the next statement, for a unit that is not atomic and has to wait."""
        assert not self._atomic
        await self.close(None)

    async def close(self, error: BaseException | None) -> None:
        """Ends the unit: commits, or rolls back when `error` is given, and gives the connection back."""
        conn, self._conn = self._conn, None
        if conn is None:
            return
        try:
            if self._atomic:
                await (_commit(conn) if error is None else _roll_back(conn))
        finally:
            await self._pool.putconn(conn)


async def _commit(conn: Connection) -> None:
    if await _command(conn, "COMMIT") == "ROLLBACK":
        raise InFailedSqlTransaction("an error of a statement was passed over, so that nothing was stored")


async def _roll_back(conn: Connection) -> None:
    """Never in the way of the error that led here: a connection that cannot roll back is thrown away by the pool."""
    if conn.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        try:
            await _command(conn, "ROLLBACK")
        except Error as error:
            log.warning("could not roll back", error=" ".join(str(error).split()))


class unit:  # noqa: N801 - it is called like a function
    """A unit of work, committed when the block ends well and rolled back when it raises."""

    def __init__(self, pool: Pool, now: datetime, *, atomic: bool = True) -> None:
        self._tx = Tx(pool, now, atomic)

    async def __aenter__(self) -> Tx:
        return self._tx

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        await self._tx.close(error)


@asynccontextmanager
async def long_unit(database_url: str, now: datetime, *, reads: bool) -> AsyncIterator[Tx]:
    """A unit of work that may take as long as it must: on a connection of its own, without the limits of `_configure`.

    One that only `reads` sees everything as it stands at one moment, and can change nothing.
    """
    async with make_pool(database_url, 1) as pool, unit(pool, now) as tx:
        if reads:
            await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        await tx.execute(
            "SELECT set_config(name, '0', true) FROM (VALUES ('statement_timeout'), "
            "('idle_in_transaction_session_timeout')) AS s (name)"
        )
        yield tx
