"""The other side: real servers that are told things, and a worker that tells them."""

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from aiohttp import web
from conftest import House
from standardwebhooks import Webhook

from ticketry.feed.jobs import relay
from ticketry.settings import load
from ticketry.web.resources import make_resources
from ticketry.webhooks.dispatch.jobs import Dispatcher

T = TypeVar("T")


@dataclass
class Received:
    """One message as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def message(self) -> dict[str, Any]:
        """The envelope."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def ticket_id(self) -> str:
        found: str = self.message["data"]["ticket"]["id"]
        return found

    def verify(self, secret: str) -> None:
        """Raises unless the message is signed with this secret, as the library of Standard Webhooks sees it."""
        assert Webhook(secret).verify(self.body, self.headers) == self.message


Answer = Callable[[Received], Awaitable[web.StreamResponse]]


async def well(_: Received) -> web.StreamResponse:
    """The answer of a receiver without troubles."""
    return web.Response(text="thanks")


def failing(status: int, text: str = "no") -> Answer:
    """The answer of a receiver with troubles."""

    async def answer(_: Received) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    return answer


class Thread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def end(self) -> None:
        self.run(self._end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()

    async def _end_all(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.loop.shutdown_default_executor()


class Receiver:
    """A real HTTP server that notes what it is sent; `answer` says how it answers, per path if given there."""

    def __init__(self, tls: Any = None) -> None:
        self.received: list[Received] = []
        self.answer: Answer = well
        self.answers: dict[str, Answer] = {}
        self.busy = self.most_busy = 0
        self._tls = tls

    def __enter__(self) -> Self:
        self._thread = Thread()
        self._thread.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._runner.cleanup())
        self._thread.end()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        one = Received(request.path, headers, await request.read())
        self.received.append(one)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self.answers.get(request.path, self.answer)(one)
        finally:
            self.busy -= 1

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def of_tickets(self) -> dict[str, list[str]]:
        """Per ticket the events in the order of their first arrival."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.received:
            if one.event_id not in found[one.ticket_id]:
                found[one.ticket_id].append(one.event_id)
        return found

    def wait(self, number: int, seconds: float = 15) -> list[Received]:
        """What arrived, once it is so many."""
        assert eventually(lambda: len(self.received) >= number, seconds), [one.message for one in self.received]
        return self.received


def eventually(holds: Callable[[], Any], seconds: float = 15) -> bool:
    """Whether `holds()` comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@asynccontextmanager
async def _worker(house: House, resolvers: Any, options: dict[str, Any]) -> Any:
    settings = load({"database_url": house.database_url, "allow_insecure_webhooks": True, **options}, {})
    mine = make_resources(settings, house.clock)
    async with mine.pool:
        dispatcher = Dispatcher(mine, resolvers)
        tasks = [asyncio.create_task(dispatcher.run()), asyncio.create_task(relay(mine, (dispatcher.hear,)))]
        yield dispatcher
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if not isinstance(one, asyncio.CancelledError) and one is not None:
                raise one


@contextmanager
def working(house: House, resolvers: Any = None, **options: Any) -> Iterator[Dispatcher]:
    """A relay and a dispatcher at work, as a worker process has them."""
    thread = Thread()
    try:
        worker = _worker(house, resolvers, options)
        dispatcher = thread.run(worker.__aenter__())
        try:
            yield dispatcher
        finally:
            thread.run(worker.__aexit__(None, None, None))
    finally:
        thread.end()


def hook(house: House, url: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """A new webhook, with its secret."""
    answer = house.client(key or house.cast.admin).post("/v1/webhooks", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


def deliveries(house: House, webhook: dict[str, Any], **asked: Any) -> list[dict[str, Any]]:
    """The deliveries to a webhook, newest first."""
    answer = house.client(house.cast.admin).get(f"/v1/webhooks/{webhook['id']}/deliveries", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def tried(house: House, webhook: dict[str, Any]) -> int:
    """How often the delivery that waits for a webhook was tried."""
    waiting = deliveries(house, webhook, status="pending")
    return max((one["attempt_count"] for one in waiting), default=0)


def settled(house: House, webhook: dict[str, Any], number: int = 1) -> bool:
    """Whether at least so many deliveries to a webhook are settled, and none is open."""
    rows = house.sql(
        """SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status <> 'pending')
           FROM webhook_deliveries WHERE endpoint_id = %s""",
        (webhook["id"],),
    )
    return bool(rows[0][0] == 0 and rows[0][1] >= number)
