"""How many calls may be under way in one process, so that those who do not answer never take the place of others."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ticketry.webhooks.dispatch.lanes import Target
from ticketry.webhooks.sending.models import Line

MOST_ON: dict[Line, int] = {"good": 128, "new": 64, "bad": 32}
"""Calls on a line that are not slow."""
MOST_SLOW = 256
"""Slow calls from which on only endpoints that answer well are called."""
MOST = 600
"""Calls of all kinds: what a process has sockets for."""
SLOW = 2.0
"""Seconds after which a call gives its place on its line to somebody else, and marks its endpoint."""


class Budget:
    """The calls under way, by line. A slow one is counted by itself."""

    def __init__(self) -> None:
        self._on: dict[Line, int] = dict.fromkeys(MOST_ON, 0)
        self._slow = 0

    def allows(self, line: Line, chosen: Mapping[Line, int]) -> bool:
        """Whether one more call fits, beside those under way and those already chosen."""
        if line != "good" and self._slow >= MOST_SLOW:
            return False
        under_way = self._slow + sum(self._on.values()) + sum(chosen.values())
        return under_way < MOST and self._on[line] + chosen[line] < MOST_ON[line]

    @contextmanager
    def call(self, target: Target, line: Line) -> Iterator[None]:
        """One call to `target`."""
        self._on[line] += 1
        slow = False

        def turn_slow() -> None:
            nonlocal slow
            slow = True
            target.slow += 1
            self._slow += 1
            self._on[line] -= 1

        timer = asyncio.get_running_loop().call_later(SLOW, turn_slow)
        try:
            yield
        finally:
            timer.cancel()
            if slow:
                target.slow -= 1
                self._slow -= 1
            else:
                self._on[line] -= 1
