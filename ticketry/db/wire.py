"""Connections that many units of work share: each statement is sent at once, behind those whose answers are awaited.

A server process that finds its next statement at hand need not be woken for it, which is the dearest thing about a
short statement. All answers come in the order of the questions, so who waits for a lock holds up those behind it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TypeVar

from psycopg import AsyncCursor, AsyncRawCursor, Error, OperationalError
from psycopg._queries import PostgresRawQuery
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import AsyncRowFactory

from ticketry.db.binding import bound
from ticketry.db.connection import Connection
from ticketry.db.pool import Params, Pool, Tx, living_connection, make_pool, refusals
from ticketry.db.sql import compiled

Row = TypeVar("Row")
WIRES = 3
"""Shared connections of a process. More of them would keep the database no busier, and cost it more."""
_NUMBERS = count()
PREPARED_AT_MOST = 100
"""Statements that a shared connection keeps prepared."""


@dataclass(slots=True)
class _Question:
    """A statement that was sent. `made` is what it was prepared as just before."""

    answer: "asyncio.Future[PGresult]"
    made: tuple[bytes, tuple[int, ...]] | None
    results: list[PGresult] = field(default_factory=list)


class _Wire:
    """A connection in libpq's pipeline mode, in which every statement is a transaction of its own."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._loop = asyncio.get_running_loop()
        self._asked: deque[_Question] = deque()
        self._broken: Exception | None = None
        if conn.wired is None:
            conn.wired = {}
        self._names = conn.wired
        self._adapting = Transformer(conn)
        conn.look_away()
        self._socket = conn.pgconn.socket
        conn.pgconn.enter_pipeline_mode()
        self._watching = True
        self._loop.add_reader(self._socket, self._readable)

    @property
    def waiting(self) -> int:
        """How many answers are awaited."""
        return len(self._asked)

    @property
    def broken(self) -> bool:
        """Whether the connection is lost."""
        return self._broken is not None

    async def ask(self, query: str, params: Params, rows: AsyncRowFactory[Row]) -> AsyncCursor[Row]:
        """Runs one statement. Raises psycopg's errors."""
        if self._broken is not None:
            raise OperationalError("the connection is lost") from self._broken
        ready = compiled(query)
        given = PostgresRawQuery(self._adapting)
        given.convert(ready.text, None if params is None else bound(self.conn, ready, params))
        answer = await self._send(given).answer
        cursor = AsyncRawCursor(self.conn, row_factory=rows)
        cursor._tx = Transformer(cursor)
        cursor._set_results([answer])
        return cursor

    def _send(self, query: PostgresRawQuery) -> _Question:
        pgconn, names = self.conn.pgconn, self._names
        key, made = (query.query, query.types), None
        try:
            name = names.get(key)
            if name is None and len(names) < PREPARED_AT_MOST:
                made = key
                name = names[key] = b"wired_%d" % next(_NUMBERS)
                pgconn.send_prepare(name, query.query, param_types=query.types)
            if name is None:
                pgconn.send_query_params(query.query, query.params, query.types, query.formats, Format.BINARY)
            else:
                pgconn.send_query_prepared(name, query.params, query.formats, Format.BINARY)
            pgconn.pipeline_sync()
            self._flush()
        except Exception as error:
            self._break(error)
            raise
        question = _Question(self._loop.create_future(), made)
        self._asked.append(question)
        return question

    def _flush(self) -> None:
        if self.conn.pgconn.flush():
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        try:
            if not self.conn.pgconn.flush():
                self._loop.remove_writer(self._socket)
        except Exception as error:
            self._break(error)

    def _readable(self) -> None:
        try:
            self.conn.pgconn.consume_input()
            self._take_answers()
            if self.conn.is_gone():
                # libuv tells of that once: now is the time to read the server's last words.
                self.conn.pgconn.consume_input()
                self._take_answers()
                raise OperationalError("the server ended the connection")
        except Exception as error:
            self._break(error)

    def _take_answers(self) -> None:
        pgconn, nothing = self.conn.pgconn, False
        while self._asked and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                if nothing:
                    raise OperationalError("the server ended the connection")
                nothing = True
                continue
            nothing = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._settle(self._asked.popleft())
            else:
                self._asked[0].results.append(result)

    def _settle(self, question: _Question) -> None:
        wrong = next((result for result in question.results if result.status == ExecStatus.FATAL_ERROR), None)
        if question.made is not None and wrong is question.results[0]:
            self._names.pop(question.made, None)  # it could not even be prepared
        if question.answer.done():
            return  # nobody waits any more
        if wrong is not None:
            question.answer.set_exception(error_from_result(wrong, encoding=self.conn.info.encoding))
        else:
            question.answer.set_result(question.results[-1])

    def _break(self, error: Exception) -> None:
        """The connection is lost: whoever waits is told, and what was sent may be done or not."""
        self._broken = self._broken or error
        self._look_away()
        while self._asked:
            answer = self._asked.popleft().answer
            if not answer.done():
                told = OperationalError(f"the connection was lost: {' '.join(str(error).split())}")
                answer.set_exception(told)

    def _look_away(self) -> None:
        if self._watching:
            self._watching = False  # once: the number of the socket may be another one's from now on
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    async def leave(self) -> None:
        """Makes the connection an ordinary one again; one that is lost, or has unread answers, is closed."""
        self._look_away()
        try:
            if self._broken is None and not self._asked:
                self.conn.pgconn.exit_pipeline_mode()
                return
        except Error as error:
            self._broken = error
        self._break(self._broken or OperationalError("nobody waited for the answer"))
        await self.conn.close()


class Wires:
    """The shared connections of a process, borrowed from a pool of their own while anybody holds them."""

    def __init__(self, database_url: str) -> None:
        self.pool: Pool = make_pool(database_url, WIRES, keep=0)
        self._wires: list[_Wire] = []
        self._holders = 0
        self._opening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keeps the connections at hand until the block ends."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            await self._let_go()

    async def _let_go(self) -> None:
        if not self._holders:
            await self._give_back(list(self._wires))

    def unit(self, now: datetime) -> "WiredTx":
        """A unit of work that runs each statement by itself on one of them, to be used while they are `held`."""
        return WiredTx(self, now)

    async def run(self, query: str, params: Params, rows: AsyncRowFactory[Row]) -> AsyncCursor[Row]:
        """Runs one statement."""
        assert self._holders, "nobody holds the wires"
        return await (await self._least_busy()).ask(query, params, rows)

    async def _least_busy(self) -> _Wire:
        if len(self._usable()) < WIRES and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self._complete())
            self._opening.add_done_callback(_look_at)
        if not self._usable():
            assert self._opening is not None
            await asyncio.shield(self._opening)
        if not (usable := self._usable()):
            raise OperationalError("the connection was lost as soon as it was made")
        return min(usable, key=lambda wire: wire.waiting)

    def _usable(self) -> list[_Wire]:
        return [wire for wire in self._wires if not wire.broken]

    async def _complete(self) -> None:
        try:
            await self._give_back([wire for wire in self._wires if wire.broken])
            while len(self._wires) < WIRES:
                self._wires.append(await self._open())
        finally:
            await self._let_go()

    async def _open(self) -> _Wire:
        conn = await living_connection(self.pool)
        try:
            return _Wire(conn)
        except BaseException:
            await self.pool.putconn(conn)
            raise

    async def _give_back(self, wires: Sequence[_Wire]) -> None:
        for wire in wires:
            self._wires.remove(wire)
        for wire in wires:
            await wire.leave()
            await self.pool.putconn(wire.conn)


def _look_at(task: "asyncio.Task[None]") -> None:
    """Whoever waits for the task is told of its error; that nobody did is no error of its own."""
    if not task.cancelled():
        task.exception()


class WiredTx(Tx):
    """A unit of work of which every statement stands by itself, among those of others on a shared connection."""

    __slots__ = ("_wires",)

    def __init__(self, wires: Wires, now: datetime) -> None:
        super().__init__(wires.pool, now, atomic=False)
        self._wires = wires

    def together(self) -> None:
        """Not here: such a unit needs a connection for itself."""
        raise AssertionError("a unit on a shared connection has no transaction")

    async def conn(self) -> Connection:
        """Not here: see `together`."""
        raise AssertionError("a unit on a shared connection has none for itself")

    async def _run(self, query: str, params: Params, rows: AsyncRowFactory[Row]) -> AsyncCursor[Row]:
        with refusals():
            return await self._wires.run(query, params, rows)
