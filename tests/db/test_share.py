"""Connections are dealt out fairly: nobody has all, and who has fewest is next."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from ticketry.core.errors import Crowded
from ticketry.db.share import Share


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def inside() -> None:
        await work()

    asyncio.run(asyncio.wait_for(inside(), 10))


@pytest.mark.parametrize(("size", "most"), [(1, 1), (2, 1), (3, 2), (8, 6)])
def test_a_part_is_left_to_others(size: int, most: int) -> None:
    async def work() -> None:
        share = Share(size, patience=0.05)
        async with AsyncExitStack() as stack:
            for _ in range(most):
                await stack.enter_async_context(share.of("greedy"))
            with pytest.raises(Crowded, match="at once"):
                await stack.enter_async_context(share.of("greedy"))
            if most < size:
                await stack.enter_async_context(share.of("other"))
        for who in ("greedy", "other") * 3:
            async with share.of(who):
                pass

    run(work)


def test_who_has_fewest_is_next() -> None:
    async def work() -> None:
        share, order = Share(3), []
        first, second = AsyncExitStack(), AsyncExitStack()
        await first.enter_async_context(share.of("a"))
        await second.enter_async_context(share.of("a"))
        third = AsyncExitStack()
        await third.enter_async_context(share.of("b"))

        async def wait(who: str) -> None:
            async with share.of(who):
                order.append(who)
                await asyncio.sleep(0.01)

        waiting = [asyncio.create_task(wait(who)) for who in ("a", "a", "b", "c")]
        await asyncio.sleep(0)
        await first.aclose()
        await asyncio.sleep(0)
        assert order == ["c"]
        await second.aclose()
        await third.aclose()
        await asyncio.gather(*waiting)
        assert sorted(order) == ["a", "a", "b", "c"]

    run(work)


def test_who_leaves_the_queue_takes_nothing_along() -> None:
    """Also who is cancelled in the very moment in which a turn comes."""

    async def work() -> None:
        share = Share(1)
        for at_once in (False, True):
            async with AsyncExitStack() as held:
                await held.enter_async_context(share.of("a"))
                waiting = asyncio.create_task(share.of("b").__aenter__())
                await asyncio.sleep(0)
                if not at_once:
                    waiting.cancel()
                    await asyncio.wait([waiting])
            waiting.cancel()
            await asyncio.wait([waiting])
            async with share.of("c"):
                pass

    run(work)
