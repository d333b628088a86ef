"""A connection prepares each statement once, whatever is given and refused, and keeps it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any

import psycopg
import pytest
from conftest import House

from ticketry.core.actor import system
from ticketry.core.errors import Conflict
from ticketry.db.pool import Pool, Tx, make_pool, unit
from ticketry.tickets import service
from ticketry.tickets.models import CloseIn, TicketIn

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def on_one_connection(house: House, work: Callable[[Pool], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        async with make_pool(house.database_url, 1) as pool:
            return await work(pool)

    return asyncio.run(inside())


async def prepared(pool: Pool) -> list[str]:
    async with unit(pool, NOW, atomic=False) as tx:
        rows = await tx.all("SELECT name, statement FROM pg_prepared_statements ORDER BY 1")
    return [f"{name}: {statement}" for name, statement in rows if "pg_prepared_statements" not in statement]


def test_a_refused_unit_keeps_what_was_prepared(house: House) -> None:
    ticket = house.ticket()
    actor = system(house.cast.workspace_id, "test")

    async def work(pool: Pool) -> None:
        async def close() -> None:
            async with unit(pool, NOW) as tx:
                await service.close(tx, actor, ticket["id"], CloseIn())

        await close()
        for _ in range(3):
            with pytest.raises(Conflict):
                await close()
        before = await prepared(pool)
        assert before
        for _ in range(5):
            with pytest.raises(Conflict):
                await close()
        assert await prepared(pool) == before

    on_one_connection(house, work)


def test_varied_closes_are_few_statements(house: House) -> None:
    actor = system(house.cast.workspace_id, "test")
    closes = [
        {"resolution_note": "Done", "customer_satisfaction": rating, "resolution_time": minutes, "root_cause": cause}
        for rating in (None, 9)
        for minutes in (None, 5, 70_000, 5_256_000)
        for cause in (None, "bug")
    ]
    tickets = [
        {"tags": tags, "assigned_to": agent, **due}
        for due in ({}, {"due_date": NOW})
        for tags in ([], ["vip", "eu"])
        for agent in (None, house.cast.agent_id)
    ]

    async def work(pool: Pool) -> list[str]:
        made = zip(islice(cycle(tickets), 200), islice(cycle(closes), 200), strict=True)
        for given, said in made:
            async with unit(pool, NOW) as tx:
                ticket = await service.create(tx, actor, TicketIn(subject="S", description="D", **given))
            async with unit(pool, NOW) as tx:
                await service.close(tx, actor, ticket.id, CloseIn(**said))
        return await prepared(pool)

    found = on_one_connection(house, work)
    texts = Counter(statement.partition(": ")[2] for statement in found)
    assert texts, "nothing was prepared"
    # What was seen with nothing in a place before it was seen with something is there in both ways.
    assert max(texts.values()) <= 2, texts


def test_numbers_and_nothing_are_what_they_were(house: House) -> None:
    query = (
        """SELECT %(n)s::numeric, %(n)s::numeric IS NULL, %(list)s::integer[], %(at)s::timestamptz, %(word)s::text"""
    )
    values = [
        {"n": n, "list": of, "at": at, "word": word}
        for n in (None, 0, -1, 2**15, 2**31 - 1, 2**31, -(2**63), 2**63 - 1, 2**63)
        for of in (None, [], [1], [1, 70_000], [None, 3])
        for at in (None, NOW)
        for word in (None, "", "word")
    ]

    async def work(pool: Pool) -> None:
        async with unit(pool, NOW) as tx:
            for given in values:
                n = given["n"]
                assert await tx.one(query, given) == (n, n is None, given["list"], given["at"], given["word"])

    on_one_connection(house, work)


async def fails_late(tx: Tx) -> None:
    await tx.execute(
        "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$"
    )
    await tx.execute("CREATE TEMPORARY TABLE t (n integer)")
    await tx.execute(
        """CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"""
    )
    await tx.execute("INSERT INTO t VALUES (1)")


async def fails_unnoticed(tx: Tx) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await tx.execute("SELECT 1 / 0")


def test_an_error_at_the_commit_reaches_the_caller(house: House) -> None:
    async def within(pool: Pool, work: Callable[[Tx], Awaitable[None]]) -> None:
        async with unit(pool, NOW) as tx:
            await work(tx)

    async def work(pool: Pool) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            await within(pool, fails_late)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await within(pool, fails_unnoticed)
        assert await answers(pool)

    on_one_connection(house, work)


async def answers(pool: Pool) -> bool:
    """Whether the pool's one connection serves, outside of any transaction that came before."""
    async with unit(pool, NOW) as tx:
        return await tx.one("SELECT now() = statement_timestamp()") is not None


def test_a_unit_cut_short_leaves_nothing_and_no_transaction(house: House) -> None:
    workspace = "UPDATE workspaces SET name = 'Cut short' WHERE id = %s"

    async def begun(pool: Pool, then: str) -> None:
        async with unit(pool, NOW) as tx:
            await tx.execute(workspace, (house.cast.workspace_id,))
            await tx.execute(then)

    async def work(pool: Pool) -> None:
        task = asyncio.create_task(begun(pool, "SELECT pg_sleep(60)"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await answers(pool)
        with pytest.raises(psycopg.OperationalError):
            await begun(pool, "SELECT pg_terminate_backend(pg_backend_pid())")
        assert await answers(pool)

    on_one_connection(house, work)
    assert not house.sql("SELECT 1 FROM workspaces WHERE name = 'Cut short'")


def test_a_part_of_a_unit_can_be_taken_back(house: House) -> None:
    async def work(pool: Pool) -> Any:
        async with unit(pool, NOW) as tx:
            await tx.execute("CREATE TEMPORARY TABLE t (n integer)")
            await tx.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(ZeroDivisionError):
                await _failing_part(tx)
            await tx.execute("INSERT INTO t VALUES (3)")
        async with unit(pool, NOW) as tx:
            return await tx.all("SELECT n FROM t ORDER BY 1")

    assert on_one_connection(house, work) == [(1,), (3,)]


async def _failing_part(tx: Tx) -> None:
    async with (await tx.conn()).transaction():
        await tx.execute("INSERT INTO t VALUES (2)")
        raise ZeroDivisionError
