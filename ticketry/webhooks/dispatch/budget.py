"""How many calls may be under way in one process, so that those who do not answer never take the place of others."""

import asyncio
from collections.abc import Callable

from ticketry.webhooks.dispatch.lanes import SLOW, Target
from ticketry.webhooks.sending.models import LINES, Line

MOST_ON: dict[Line, int] = {"good": 128, "new": 64, "bad": 32}
"""Calls on a line that are not slow."""
MOST_SLOW: dict[Line, int] = {"good": 600, "new": 256, "bad": 192}
"""Slow calls, of all lines together, from which on none of this line begins: who is slow leaves room to newcomers."""
MOST = 600
"""Calls of all kinds: what a process has sockets for."""


class Budget:
    """The calls under way, by line. A slow one is counted by itself."""

    def __init__(self) -> None:
        self._on: dict[Line, int] = dict.fromkeys(LINES, 0)
        self._slow = 0

    def allows(self, line: Line, more: int = 0) -> bool:
        """Whether one more call fits, beside those under way and `more` on the same line."""
        if self._slow >= MOST_SLOW[line]:
            return False
        return self._slow + sum(self._on.values()) + more < MOST and self._on[line] + more < MOST_ON[line]

    def roomy(self, line: Line) -> bool:
        """Whether the line is so empty that nobody waits for a place."""
        return self._on[line] * 2 < MOST_ON[line]

    def begin(self, target: Target, line: Line) -> Callable[[], None]:
        """One call to `target`; what is returned ends it."""
        self._on[line] += 1
        slow = False

        def turn_slow() -> None:
            nonlocal slow
            slow = True
            target.slow += 1
            self._slow += 1
            self._on[line] -= 1

        timer = asyncio.get_running_loop().call_later(SLOW, turn_slow)

        def end() -> None:
            timer.cancel()
            if slow:
                target.slow -= 1
                self._slow -= 1
            else:
                self._on[line] -= 1

        return end
