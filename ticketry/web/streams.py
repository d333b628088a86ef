"""Bodies that are read as they come, and answers that are made while they are sent: as long as the peer keeps pace."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from ticketry.core.errors import InvalidRequest

PATIENCE = 60
"""Seconds that a client may leave a block untaken: what a stream holds (a connection, a snapshot) others may need."""
LEAST_RATE = 65_536
"""Bytes a second that a client must take over the whole, beside `PATIENCE` once: who takes a block now and then would
hold them for days. Only the time spent waiting for the client counts."""


LEAST_SENT = 8_192
"""Bytes a second that a client must send over the whole, likewise: who uploads has often the slower line."""


class Stalled(Exception):
    """The client takes nothing any more, or too little."""


class Patience:
    """How long a peer may be waited for: `silence` seconds at a time, and over the whole no longer than `least_rate`
    bytes a second and `silence` once more would take.
    """

    def __init__(self, silence: float, least_rate: int) -> None:
        self._silence, self._least_rate = silence, least_rate
        self._waited, self._moved = 0.0, 0

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Waits no longer than is left. Raises `TimeoutError`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.timeout(min(self._silence, self._silence + self._moved / self._least_rate - self._waited)):
            yield
        self._waited += clock() - began

    def moved(self, size: int) -> None:
        """So many bytes more came or went."""
        self._moved += size


async def patiently(request: Request) -> AsyncGenerator[bytes, None]:
    """The body in pieces. Raises `upload_stalled` if the sender is silent, or slow."""
    body, patience = aiter(request.stream()), Patience(PATIENCE, LEAST_SENT)
    while True:
        try:
            async with patience.wait():
                chunk = await anext(body, None)
        except TimeoutError:
            told = f"Nothing came for {PATIENCE:g} seconds, or less than {LEAST_SENT} bytes a second over the whole"
            raise InvalidRequest("upload_stalled", told) from None
        if chunk is None:
            return
        patience.moved(len(chunk))
        yield chunk


class Stream(StreamingResponse):
    """An answer as long as it comes, sent as fast as the client takes it.

    It ends in order, or the connection is cut: what is missing can always be seen. When the client leaves, or stalls,
    or something fails, `holds` is left at once; it is what the blocks are made from.
    """

    def __init__(
        self,
        blocks: AsyncGenerator[bytes, None],
        holds: AbstractAsyncContextManager[Any],
        media_type: str | None,
        headers: Mapping[str, str],
        status: int = 200,
    ) -> None:
        super().__init__(blocks, status, headers, media_type)
        self.blocks = blocks
        self.holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.holds, aclosing(self.blocks):
            sending, leaving = asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone = not sending.done()
                sending.cancel()
                leaving.cancel()
                await asyncio.wait({sending, leaving})
            if gone:
                raise ClientDisconnect
            sending.result()
        # Whoever has got the whole and asks anew finds free what this one held.
        await _in_time(Patience(PATIENCE, LEAST_RATE), send, {"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        patience = Patience(PATIENCE, LEAST_RATE)
        async for block in self.blocks:
            await _in_time(patience, send, {"type": "http.response.body", "body": block, "more_body": True})
            patience.moved(len(block))


async def _in_time(patience: Patience, send: Send, message: Message) -> None:
    try:
        async with patience.wait():
            await send(message)
    except TimeoutError:
        raise Stalled("the client takes nothing, or too little, to go on with it") from None


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
