"""Word of what was just written, for those who wait: long polls in any process, and the relay in this one."""

import asyncio
import contextlib

import psycopg
import structlog

log = structlog.get_logger()

CHANNEL = "ticketry_news"
"""The channel on which the relay names the workspaces that have new events."""
LOOK = 1.0
"""Seconds until who waits looks for himself while nobody listens for him: the database may be away."""
LOOK_ANYWAY = 5.0
"""Seconds until he looks all the same: no worker may be running that would tell."""


class News:
    """What one process hears. `written` is set when a request of this process has stored something."""

    def __init__(self, database_url: str) -> None:
        self.written = asyncio.Event()
        self.over = False
        self._database_url = database_url
        self._waiting: dict[str, asyncio.Event] = {}
        self._listener: asyncio.Task[None] | None = None
        self._listens = False

    def next(self, workspace_id: str) -> asyncio.Event:
        """Is set at the next news of a workspace. To be taken before one looks: what comes between is not missed."""
        return self._waiting.setdefault(workspace_id, asyncio.Event())

    async def wait(self, heard: asyncio.Event, seconds: float) -> None:
        """Until `heard` is set, or it is time to look all the same; at most `seconds`."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LOOK_ANYWAY if self._listens else LOOK)):
                await heard.wait()

    async def _listen(self) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(
                self._database_url, autocommit=True, application_name="ticketry news"
            ) as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                self._listens = True
                async for told in conn.notifies():
                    self._tell(told.payload)
        except psycopg.Error as error:
            log.warning("nobody listens for news; looking instead", reason=" ".join(str(error).split()))
        finally:
            self._listens = False

    def _tell(self, workspace_id: str) -> None:
        if heard := self._waiting.pop(workspace_id, None):
            heard.set()

    async def end(self) -> None:
        """Nobody waits any more: those who do get their answer now."""
        self.over = True
        for workspace_id in list(self._waiting):
            self._tell(workspace_id)
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})
