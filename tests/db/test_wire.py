"""Connections that many units share: each statement gets its own answer and is a transaction of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from ticketry.core.errors import Conflict
from ticketry.db.wire import PREPARED_AT_MOST, WIRES, Wires

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def wired(url: str, work: Callable[[Wires], Awaitable[None]]) -> None:
    async def inside() -> None:
        wires = Wires(url)
        async with wires.pool:
            await work(wires)

    asyncio.run(asyncio.wait_for(inside(), 60))


async def one(wires: Wires, query: str, *params: Any) -> Any:
    row = await wires.unit(NOW).one(query, params)
    assert row is not None
    return row[0]


async def pids(wires: Wires) -> set[int]:
    """The server processes of all wires, once all are open."""
    await one(wires, "SELECT 1")
    assert wires._opening is not None
    await wires._opening
    return set(await asyncio.gather(*(one(wires, "SELECT pg_backend_pid()") for _ in range(60))))


async def outcomes(asked: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*asked, return_exceptions=True)


def test_each_gets_its_own_answer(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        async with wires.held():
            await one(wires, "SELECT 1")
            asked = [one(wires, "SELECT %s::int + (pg_sleep(0.001 * %s) IS NULL)::int", n, n % 5) for n in range(300)]
            assert await asyncio.gather(*asked) == list(range(300))
            assert len(await pids(wires)) == WIRES

    wired(database_url, work)


def test_each_is_a_transaction_and_hurts_no_other(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        async with wires.held():
            await wires.unit(NOW).execute("CREATE TABLE noted (n int PRIMARY KEY, at bigint DEFAULT txid_current())")
            note = "INSERT INTO noted (n) VALUES (%s)"
            found = await outcomes([wires.unit(NOW).execute(note, (n // 2,)) for n in range(100)])
            assert sorted(map(str, found)).count("1") == 50
            assert sum(isinstance(error, psycopg.errors.UniqueViolation) for error in found) == 50
            assert await one(wires, "SELECT count(DISTINCT at) FROM noted") == 50

    wired(database_url, work)


def test_errors_are_those_of_any_connection(database_url: str) -> None:
    """Also those of statements that cannot even be prepared, again and again."""

    async def work(wires: Wires) -> None:
        async with wires.held():
            for _ in range(3):
                with pytest.raises(psycopg.errors.DivisionByZero):
                    await one(wires, "SELECT 1 / %s", 0)
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await one(wires, "SELECT n FROM nowhere WHERE n = %s", 1)
                assert await one(wires, "SELECT 8 / %s", 2) == 4
            await wires.unit(NOW).execute(
                "CREATE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION 'contact_erased' USING ERRCODE = 'TK409', DETAIL = 'Gone'; END $$"
            )
            with pytest.raises(Conflict) as refused:
                await one(wires, "SELECT refuse()")
            assert refused.value.code == "contact_erased"

    wired(database_url, work)


def test_long_statements_and_answers_at_once(database_url: str) -> None:
    """More than any buffer holds, in both directions, so that each has to wait for the other."""

    async def work(wires: Wires) -> None:
        async with wires.held():
            words = [chr(97 + n) * 5_000_000 for n in range(9)]
            assert await asyncio.gather(*(one(wires, "SELECT %s::text", word) for word in words)) == words

    wired(database_url, work)


def test_who_waits_no_more_is_in_nobodys_way(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        async with wires.held():
            await one(wires, "SELECT 1")
            tasks = [asyncio.create_task(one(wires, "SELECT %s::int FROM pg_sleep(0.1)", n)) for n in range(9)]
            await asyncio.sleep(0.05)
            for task in tasks[::2]:
                task.cancel()
            found = await outcomes(list(tasks))
            assert found[1::2] == [1, 3, 5, 7]
            assert all(isinstance(error, asyncio.CancelledError) for error in found[::2])
            assert await one(wires, "SELECT 10") == 10

    wired(database_url, work)


def test_a_holder_that_is_cancelled_leaves_no_answer_to_the_next(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        async def hold() -> None:
            async with wires.held():
                await asyncio.gather(*(one(wires, "SELECT 666 FROM pg_sleep(0.5)") for _ in range(6)))

        task = asyncio.create_task(hold())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with wires.held():
            assert set(await asyncio.gather(*(one(wires, "SELECT 7") for _ in range(9)))) == {7}

    wired(database_url, work)


def test_a_server_that_goes_away(database_url: str) -> None:
    """Everybody who waits is told, and the next are given new connections."""

    async def work(wires: Wires) -> None:
        async with wires.held():
            used = await pids(wires)
            waiting = [asyncio.create_task(one(wires, "SELECT %s::int FROM pg_sleep(20)", n)) for n in range(12)]
            await asyncio.sleep(0.2)
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
                for pid in used:
                    await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            found = await outcomes(list(waiting))
            assert all(isinstance(error, psycopg.OperationalError) for error in found), found
            assert set(await asyncio.gather(*(one(wires, "SELECT 7") for _ in range(9)))) == {7}

    wired(database_url, work)


def test_without_a_server_all_wait_at_the_same_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(wires: Wires) -> None:
        monkeypatch.setattr(wires.pool, "timeout", 1)
        begun = time.monotonic()
        async with wires.held():
            found = await outcomes([one(wires, "SELECT 1") for _ in range(8)])
        assert all(isinstance(error, PoolTimeout) for error in found), found
        assert time.monotonic() - begun < 4

    wired("host=/nowhere dbname=none", work)


def test_connections_are_given_back_and_stay_prepared(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        prepared: list[int] = []
        for _ in range(3):
            async with wires.held(), wires.held():
                assert len(await pids(wires)) == WIRES
                await asyncio.gather(*(one(wires, "SELECT %s::text", str(n)) for n in range(30)))
            assert not wires._wires
            async with wires.pool.connection() as conn:
                row = await (await conn.execute("SELECT count(*) FROM pg_prepared_statements")).fetchone()
                assert row is not None
                prepared.append(row[0])
        assert max(prepared) <= 3, prepared

    wired(database_url, work)


def test_no_more_is_prepared_than_is_kept(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        async with wires.held():
            for n in range(PREPARED_AT_MOST * 2):
                assert await one(wires, f"SELECT {n} + %s::int", 1) == n + 1
            assert await one(wires, "SELECT count(*) FROM pg_prepared_statements") <= PREPARED_AT_MOST

    wired(database_url, work)


def test_a_transaction_is_not_to_be_had_here(database_url: str) -> None:
    async def work(wires: Wires) -> None:
        tx = wires.unit(NOW)
        with pytest.raises(AssertionError):
            tx.together()
        with pytest.raises(AssertionError):
            await tx.conn()
        with pytest.raises(AssertionError, match="holds"):
            await one(wires, "SELECT 1")

    wired(database_url, work)
