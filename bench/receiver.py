"""A receiver of webhooks in a process of its own: answers at once and notes when each ticket's message arrived.

`python -m bench.receiver` prints its port, serves until standard input ends, then prints what arrived as JSON.
"""

import asyncio
import json
import re
import sys
import time

_TICKET = re.compile(rb'"ticket": \{"id": "(\w+)"')
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection. It knows as much of HTTP as Ticketry speaks to it."""

    def __init__(self, arrived: dict[str, list[float]]) -> None:
        self.arrived = arrived
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers whom to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Notes each whole message, and answers it."""
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self.rest, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self.rest) < whole:
                return
            message, self.rest = self.rest[:whole], self.rest[whole:]
            if ticket := _TICKET.search(message):
                self.arrived.setdefault(ticket[1].decode(), []).append(time.time())
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


async def main() -> None:
    """Serves until standard input ends."""
    arrived: dict[str, list[float]] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(arrived), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(arrived))


if __name__ == "__main__":
    asyncio.run(main())
