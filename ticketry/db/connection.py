"""A connection whose socket the event loop goes on watching: psycopg would have it begin and end for every answer."""

import asyncio
import select
from typing import Any, TypeVar

from psycopg import AsyncConnection, OperationalError
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

Result = TypeVar("Result")
INTERVAL = 0.1
"""Seconds; what psycopg waits at a time where we leave the waiting to it."""


class Connection(AsyncConnection[TupleRow]):
    """psycopg's connection, about a twentieth cheaper for a process that is busy with short statements."""

    _watching: tuple[asyncio.AbstractEventLoop, int] | None = None
    _answer: asyncio.Future[None] | None = None
    _unasked: Any = None
    _gone: Any = None
    wired: dict[tuple[bytes, tuple[int, ...]], bytes] | None = None
    """Statements that were prepared while the connection was shared, see `db/wire.py`: text and types to name."""

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = INTERVAL,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's
    ) -> Result:
        """Runs a generator of psycopg to its end. All but waiting for an answer without a limit is left to psycopg."""
        if timeout is not None:
            self.look_away()
            return await super().wait(gen, interval, timeout)
        waited, state = False, Wait.R
        try:
            state = next(gen)
            while state == Wait.R:
                waited = True
                await self._something_to_read()
                state = gen.send(Ready.R)
        except StopIteration as ended:
            # What never waits (COPY) must not keep the event loop for itself: psycopg sees to that.
            result: Result = ended.value if waited else await super().wait(_ended(ended.value), interval)
            return result
        except asyncio.CancelledError as error:
            self.look_away()
            return await super().wait(_Begun(gen, state, error), interval)  # type: ignore[arg-type]
        except BaseException:
            self.look_away()  # the socket may be gone
            raise
        self.look_away()
        return await super().wait(_Begun(gen, state), interval)  # type: ignore[arg-type]

    async def _something_to_read(self) -> None:
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        if self._watching is not None and self.is_gone():
            self.look_away()  # libuv tells of that once: it may have done so, and the server's last words are unread
        if self._watching is None:
            self._watching = loop, self.pgconn.socket
            loop.add_reader(self.pgconn.socket, self._readable)
        try:
            await self._answer
        finally:
            self._answer = None

    def _readable(self) -> None:
        if self._answer is None:
            self.look_away()  # the server says something unasked, mostly that it ends
        elif not self._answer.done():
            self._answer.set_result(None)

    def look_away(self) -> None:
        """Leaves the socket to others."""
        if self._watching is not None:
            (loop, socket), self._watching = self._watching, None
            loop.remove_reader(socket)

    def speaks_unasked(self) -> bool:
        """Whether the server has said something that nobody asked for, mostly that it ends. Costs one system call."""
        try:
            if self._unasked is None:
                self._unasked = select.poll()
                self._unasked.register(self.pgconn.socket, select.POLLIN)
            return bool(self._unasked.poll(0))
        except (OSError, OperationalError):
            return True

    def is_gone(self) -> bool:
        """Whether the server has left, though there may be words of it to read. Costs one system call."""
        if self._gone is None:
            self._gone = select.poll()
            self._gone.register(self.pgconn.socket, 0)
        return bool(self._gone.poll(0))

    async def close(self) -> None:
        """Ends the connection. The number of its socket may be another one's from then on."""
        self.look_away()
        await super().close()


def _ended(result: Result) -> PQGen[Result]:
    return result
    yield


class _Begun:
    """A generator that waits already, as one that is about to begin, and at first to raise an error if one is given."""

    def __init__(self, gen: PQGen[Any], state: Any, error: BaseException | None = None) -> None:
        self._gen = gen
        self._state = state
        self._error = error

    def __next__(self) -> Any:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._state

    def send(self, ready: Any) -> Any:
        """Goes on."""
        return self._gen.send(ready)
