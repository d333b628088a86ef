"""Sends one POST to an address that may be anybody's: nothing it does may cost more than the time and bytes below."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ticketry.core.clock import Clock
from ticketry.settings import Settings
from ticketry.webhooks.sending.addresses import why_not
from ticketry.webhooks.sending.models import LINES, Line, Outcome
from ticketry.webhooks.sending.words import NotAllowed, words_for, words_for_status

KEPT_ANSWER = 1024
"""Bytes of an answer that are read; more closes the connection."""
ANSWER_SECONDS = 2
"""How long the text of an answer may take once its status is known, which alone counts."""
KEEP_ALIVE = 3
"""Seconds that an idle connection is kept: less than what servers grant, so that they rarely hang up first."""
NAME_THREADS: dict[Line, int] = {"good": 64, "new": 16, "bad": 16}
"""Names looked up at a time on each line. The system's resolver blocks, and a bad name may take it half a minute."""


class Names(AbstractResolver):
    """The system's resolver on threads of its own, so that names that hang hold up no other line."""

    def __init__(self, line: Line) -> None:
        self._threads = ThreadPoolExecutor(NAME_THREADS[line], f"webhook-names-{line}")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        return [
            {"hostname": host, "host": str(address[0]), "port": port, "family": kind, "proto": proto, "flags": 0}
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Lets the threads end when they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[Any]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


def _public_socket(info: Any) -> socket.socket:
    """A socket for an address just resolved, or typed as one: what is not public gets none."""
    family, kind, proto, _, address = info
    if reason := why_not(str(address[0])):
        raise NotAllowed(str(address[0]), reason)
    return socket.socket(family=family, type=kind, proto=proto)


def _trust(more: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if more is not None:
        context.load_verify_locations(more)
    return context


class Sender:
    """Calls endpoints; enter it before use. `resolvers` may be given for networks with names of their own."""

    def __init__(
        self, settings: Settings, clock: Clock, resolvers: Mapping[Line, AbstractResolver] | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._resolvers = resolvers
        self._sessions: dict[Line, aiohttp.ClientSession] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Sender":
        trust = await asyncio.to_thread(_trust, self.settings.webhook_ca_file)
        for line in LINES:
            resolver = self._resolvers[line] if self._resolvers else Names(line)
            self._stack.push_async_callback(resolver.close)
            self._sessions[line] = await self._stack.enter_async_context(self._session(resolver, trust))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def _session(self, resolver: AbstractResolver, trust: ssl.SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=trust,
            resolver=resolver,
            use_dns_cache=False,
            keepalive_timeout=KEEP_ALIVE,
            socket_factory=None if self.settings.allow_insecure_webhooks else _public_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.settings.webhook_timeout, ceil_threshold=1e9),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=4 * KEPT_ANSWER,
            requote_redirect_url=False,
        )

    async def post(self, line: Line, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """Sends, and says what came of it. It never raises for what the other side does."""
        started_at, started = self._clock(), time.monotonic()
        status, answer = None, None
        try:
            async with self._sessions[line].post(
                url, data=body.encode(), headers=headers, allow_redirects=False
            ) as response:
                if not 100 <= response.status <= 999:
                    raise ValueError(f"status {response.status}")
                status = response.status
                answer = await _first_of(response)
            error = words_for_status(status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as failure:
            error = words_for_status(status) if status else words_for(failure, self.settings.webhook_timeout)
        spent = int((time.monotonic() - started) * 1000)
        return Outcome(started_at, spent, status, answer, error)


async def _first_of(response: aiohttp.ClientResponse) -> str:
    """The first KiB of an answer. A connection with more to say is closed: nobody knows how much more."""
    read = bytearray()
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(read) < KEPT_ANSWER and (piece := await response.content.read(KEPT_ANSWER - len(read))):
                read += piece
    if not response.content.at_eof():
        response.close()
    return read.decode(errors="replace").replace("\x00", "\ufffd")[:KEPT_ANSWER]
