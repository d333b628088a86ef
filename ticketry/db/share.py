"""A part of the pool's connections, for work that could take them all, dealt out fairly."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ticketry.core.errors import Crowded


class Share:
    """So many connections. `async with share.of(workspace_id)` waits for one of them.

    Who holds one and waits for another is never in the way of the rest, as long as the rest has some left. No workspace
    takes all: a quarter, but one at the least, is left to others, and who has fewest is next.
    """

    def __init__(self, size: int, patience: float = 10) -> None:
        self._free = max(1, size)
        self._most = max(1, self._free - max(1, self._free // 4))
        self._patience = patience
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def of(self, who: str) -> AsyncIterator[None]:
        """One of them for `who`. Raises `Crowded` if none is free for long."""
        if self._may(who):
            self._hold(who)
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._give_back(who)

    def _may(self, who: str) -> bool:
        return self._free > 0 and self._held[who] < self._most

    def _hold(self, who: str) -> None:
        self._free -= 1
        self._held[who] += 1

    async def _wait(self, who: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((who, turn))
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_back(who)  # it came in the very moment in which nobody waited any more
            else:
                self._waiting.remove((who, turn))
            if isinstance(error, TimeoutError):
                message = "Too much is being done at once; try again"
                raise Crowded("database_busy", message, retry_after=1) from None
            raise

    def _give_back(self, who: str) -> None:
        self._free += 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        if ready := [place for place, (one, turn) in enumerate(self._waiting) if self._may(one) and not turn.done()]:
            one, turn = self._waiting.pop(min(ready, key=lambda place: self._held[self._waiting[place][0]]))
            self._hold(one)
            turn.set_result(None)
