"""Runs the operations of a bulk request: each in a unit of its own, several at a time, those on one ticket in order.

It is a part of the edge, as `accounts/guard.py` is: it opens the units and turns what goes wrong into results.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ticketry.core.actor import Actor
from ticketry.core.errors import Busy, Crowded, TicketryError
from ticketry.core.fields import StrictModel
from ticketry.db.pool import GAVE_UP, Tx, unit
from ticketry.tickets import store
from ticketry.tickets.bulk import service
from ticketry.tickets.bulk.models import Operation
from ticketry.tickets.models import Ticket
from ticketry.tickets.rules import number_of
from ticketry.web.idempotency import Parts
from ticketry.web.problems import crash, unavailable
from ticketry.web.resources import Resources

log = structlog.get_logger()

LANES = 8
"""Operations of one request that are done at a time."""
READ_AT_ONCE = 20
"""Tickets that are read by one statement, after one for each lane to begin with: work begins while the rest is read."""
PATIENCE = 30
"""Seconds after which no further operation is begun."""


@dataclass
class Run:
    """One bulk request. `parts` keeps the answers for a retry; None without an Idempotency-Key."""

    house: Resources
    actor: Actor
    operations: Sequence[Operation]
    parts: Parts | None
    request_id: str
    results: dict[int, bytes] = field(default_factory=dict)
    stopped: TicketryError | None = None
    """Why the rest was not begun: the database went away, or the time was over."""
    end: float = 0
    """When no further operation is begun, by the monotonic clock."""
    did: bool = False
    """Whether anything was left to do."""

    async def run(self) -> list[bytes]:
        """Does what is not done yet; the result of each operation as JSON. Raises `stopped` if a retry can go on."""
        if self.parts is not None:
            self.results |= self.parts.known or {}
        bodies = self._read_bodies()
        missing = [n for n in range(len(self.operations)) if n not in self.results]
        if missing:
            self.did = True
            await self._do(missing, bodies)
        if self.stopped is not None and self.parts is not None:
            raise self.stopped
        return [self.results[n] for n in range(len(self.operations))]

    def _read_bodies(self) -> dict[int, StrictModel]:
        """What the operations were given; one that was given nonsense has its result by that."""
        bodies = {}
        for n, operation in enumerate(self.operations):
            try:
                bodies[n] = service.body_of(operation)
            except TicketryError as error:
                self.results[n] = service.refused(error)
        return bodies

    async def _do(self, missing: list[int], bodies: dict[int, StrictModel]) -> None:
        async with self.house.wires.held():
            await self._work(missing, bodies)

    async def _work(self, missing: list[int], bodies: dict[int, StrictModel]) -> None:
        """Reads the tickets, and works on those that are read while others still are."""
        first, *later = self._batches(missing)
        read = await self._read(first)
        waiting: asyncio.Queue[list[int] | None] = asyncio.Queue()
        self.end = time.monotonic() + PATIENCE

        async def lane() -> None:
            while (numbers := await waiting.get()) is not None:
                await self._in_order(numbers, bodies, read)

        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(lane())
            for batch in (first, *later):
                if batch is not first:
                    read |= await self._read_ahead(batch)
                for numbers in self._by_ticket(batch, read):
                    waiting.put_nowait(numbers)
            for _ in range(LANES):
                waiting.put_nowait(None)

    def _batches(self, missing: list[int]) -> list[list[int]]:
        """The operations in pieces that are read at once, all those on one ticket in one piece."""
        names = list(dict.fromkeys(self.operations[n].ticket_id for n in missing))
        # One ticket may have been called by its id and by its number: only reading all of them tells.
        first = LANES if all(number_of(name) is None for name in names) else len(names)
        pieces = {name: (place - first) // READ_AT_ONCE for place, name in enumerate(names[first:], first)}
        batches: dict[int, list[int]] = {}
        for n in missing:
            batches.setdefault(pieces.get(self.operations[n].ticket_id, -1), []).append(n)
        return list(batches.values())

    async def _read(self, batch: list[int]) -> dict[str, Ticket]:
        names = list(dict.fromkeys(self.operations[n].ticket_id for n in batch))
        async with self._unit(atomic=self.parts is not None) as tx:
            return await store.several(tx, self.actor.workspace_id, names)

    async def _read_ahead(self, batch: list[int]) -> dict[str, Ticket]:
        """The tickets of a further batch; none if they cannot be read: each operation then reads its own, or fails."""
        try:
            return await self._read(batch)
        except Exception as error:
            self._passing(error)
            return {}

    def _by_ticket(self, batch: list[int], read: dict[str, Ticket]) -> Iterable[list[int]]:
        by_ticket: dict[str, list[int]] = {}
        for n in batch:
            name = self.operations[n].ticket_id
            by_ticket.setdefault(read[name].id if name in read else name, []).append(n)
        return by_ticket.values()

    async def _in_order(self, numbers: list[int], bodies: dict[int, StrictModel], read: dict[str, Ticket]) -> None:
        """The operations on one ticket. What a retry would do after a later one is not passed over."""
        held_up: TicketryError | None = None
        for place, n in enumerate(numbers):
            name = self.operations[n].ticket_id
            if time.monotonic() > self.end and self.stopped is None:
                self.stopped = TicketryError("database_busy", "This took too long; try again", retry_after=1)
            # The first attempt needs no reading of its own; what comes after it reads what it left behind.
            ticket = read.get(name, name) if place == 0 else name
            if (error := self.stopped or held_up) is not None:
                self.results[n] = service.refused(error)
            elif not await self._settled(n, bodies[n], ticket):
                held_up = Busy("ticket_busy", "An operation on this ticket before this one is not done; try again")

    async def _settled(self, n: int, body: StrictModel, ticket: str | Ticket) -> bool:
        """Does an operation; whether its result is one that lasts. A result that asks to try again does not."""
        try:
            try:
                self.results[n] = await self._perform(n, body, ticket)
            except (Busy, Crowded):
                raise
            except TicketryError as error:
                self.results[n] = await self._keep_refusal(n, error)
        except Exception as error:
            self.results[n] = service.refused(self._passing(error))
            return False
        return True

    async def _perform(self, n: int, body: StrictModel, ticket: str | Ticket) -> bytes:
        operation = self.operations[n]
        atomic = self.parts is not None or not service.is_one_statement(body)
        async with self._unit(atomic=atomic) as tx:
            content = await service.perform(tx, self.actor, operation, body, ticket)
            if self.parts is not None:
                await self.parts.keep(tx, n, content)
        return content

    @asynccontextmanager
    async def _unit(self, *, atomic: bool) -> AsyncIterator[Tx]:
        """A unit of work: atomic on a connection for itself, else among others on a shared one."""
        house = self.house
        if not atomic:
            yield house.wires.unit(house.clock())
            return
        async with house.lanes.of(self.actor.workspace_id), unit(house.pool, house.clock()) as tx:
            yield tx

    async def _keep_refusal(self, n: int, error: TicketryError) -> bytes:
        content = service.refused(error)
        if self.parts is not None:
            async with self._unit(atomic=True) as tx:
                await self.parts.keep(tx, n, content)
        return content

    def _passing(self, error: Exception) -> TicketryError:
        """What is told of an error that may be gone at the next attempt."""
        if isinstance(error, Busy | Crowded):
            return error
        if isinstance(error, GAVE_UP):
            log.warning("bulk operation gave up", error=" ".join(str(error).split()))
            return Busy("ticket_busy", "The ticket is being changed by too many at once; try again")
        if isinstance(error, PoolTimeout | psycopg.OperationalError | psycopg.InterfaceError):
            log.error("database unavailable", error=str(error))
            self.stopped = self.stopped or unavailable()
            return self.stopped
        log.error("bulk operation failed", request_id=self.request_id, exc_info=error)
        return crash(self.request_id)
