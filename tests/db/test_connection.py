"""The connection that stays with the event loop: answers, limits, interruptions, and a server that goes away."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from ticketry.db.connection import Connection


def alone(database_url: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with await Connection.connect(database_url, autocommit=True) as conn:
            await work(conn)

    asyncio.run(asyncio.wait_for(run(), 30))


async def number(conn: Connection, query: str = "SELECT 1") -> int:
    row = await (await conn.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


async def terminate(database_url: str, pid: int) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_many_at_once(database_url: str) -> None:
    """Each gets its own answer, over connections that come and go, and whose numbers are given to others again."""

    async def ask(n: int) -> None:
        for _ in range(3):
            async with await Connection.connect(database_url, autocommit=True) as conn:
                for m in range(5):
                    assert await number(conn, f"SELECT {n * 100 + m} FROM pg_sleep(0.00{m})") == n * 100 + m

    async def all_of_them() -> None:
        await asyncio.gather(*(ask(n) for n in range(8)))

    asyncio.run(asyncio.wait_for(all_of_them(), 30))


def test_an_error_leaves_it_usable(database_url: str) -> None:
    async def work(conn: Connection) -> None:
        for _ in range(3):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await conn.execute("SELECT 1/0")
            assert await number(conn) == 1

    alone(database_url, work)


def test_who_is_cancelled_cancels_the_query(database_url: str) -> None:
    """The server stops at once, and the connection goes on with the next statement."""

    async def work(conn: Connection) -> None:
        for _ in range(3):
            begun = time.monotonic()
            task = asyncio.create_task(conn.execute("SELECT pg_sleep(20)"))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - begun < 5
            assert conn.pgconn.transaction_status == TransactionStatus.IDLE
            assert await number(conn) == 1

    alone(database_url, work)


def test_a_limit_of_psycopg_holds(database_url: str) -> None:
    async def work(conn: Connection) -> None:
        await conn.execute("LISTEN news")
        assert await number(conn) == 1
        assert [one async for one in conn.notifies(timeout=0.3)] == []
        await conn.execute("NOTIFY news, 'here'")
        assert [one.payload async for one in conn.notifies(timeout=5, stop_after=1)] == ["here"]
        assert await number(conn) == 1

    alone(database_url, work)


def test_long_answers_and_copy(database_url: str) -> None:
    async def work(conn: Connection) -> None:
        row = await (await conn.execute("SELECT repeat('x', 20000000)")).fetchone()
        assert row is not None
        assert len(row[0]) == 20_000_000
        await conn.execute("CREATE TEMP TABLE held (n integer, said text)")
        async with conn.cursor().copy("COPY held FROM STDIN") as into:
            for n in range(2000):
                await into.write_row((n, "y" * 5000))
        async with conn.cursor().copy("COPY held TO STDOUT") as out:
            assert len([row async for row in out.rows()]) == 2000
        long = "z" * 30_000_000
        assert await (await conn.execute("SELECT length(%s)", (long,))).fetchone() == (len(long),)

    alone(database_url, work)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_server_that_goes_away(database_url: str, busy: bool) -> None:
    """It is an error, not a wait without end, and the event loop does not look at a socket that is gone."""

    async def run() -> None:
        conn = await Connection.connect(database_url, autocommit=True)
        pid = await number(conn, "SELECT pg_backend_pid()")
        if busy:
            asking = asyncio.create_task(conn.execute("SELECT pg_sleep(20)"))
            await asyncio.sleep(0.2)
            await terminate(database_url, pid)
            with pytest.raises(psycopg.OperationalError):
                await asking
        else:
            await terminate(database_url, pid)
            before = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - before < 0.25, "the loop turns round and round"
            with pytest.raises(psycopg.OperationalError):
                await conn.execute("SELECT 1")
        await conn.close()
        async with await Connection.connect(database_url, autocommit=True) as other:
            assert await number(other) == 1

    asyncio.run(asyncio.wait_for(run(), 30))
