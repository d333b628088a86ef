"""Answers that are made while they are sent."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

PATIENCE = 60
"""Seconds that a client may leave a block untaken: what a stream holds (a connection, a snapshot) others may need."""
LEAST_RATE = 65_536
"""Bytes a second that a client must take over the whole, beside `PATIENCE` once: who takes a block now and then would
hold them for days. Only the time spent waiting for the client counts."""


class Stalled(Exception):
    """The client takes nothing any more, or too little."""


class Stream(StreamingResponse):
    """An answer as long as it comes, sent as fast as the client takes it.

    It ends in order, or the connection is cut: what is missing can always be seen. When the client leaves, or stalls,
    or something fails, `holds` is left at once; it is what the blocks are made from.
    """

    def __init__(
        self,
        blocks: AsyncGenerator[bytes, None],
        holds: AbstractAsyncContextManager[Any],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(blocks, 200, headers, media_type)
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

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        clock, waited, sent = asyncio.get_running_loop().time, 0.0, 0
        async for block in self.blocks:
            began = clock()
            try:
                async with asyncio.timeout(min(PATIENCE, PATIENCE + sent / LEAST_RATE - waited)):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
            except TimeoutError:
                raise Stalled("the client takes nothing, or too little, to go on with it") from None
            waited, sent = waited + clock() - began, sent + len(block)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
