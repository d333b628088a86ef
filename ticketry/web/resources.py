"""What the edge works with: made once when the process starts, reached through the request, never global."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, Tx, make_pool
from ticketry.db.share import Share
from ticketry.db.wire import Wires
from ticketry.settings import Settings
from ticketry.web.news import News

Figures = Callable[[Tx], Awaitable[dict[str, tuple[str, float]]]]
"""What a room tells `/metrics` of what is stored: per name of a gauge its meaning and value."""


@dataclass(slots=True)
class Resources:
    """The pool, the clock and the settings of one process; `caches` holds what may be forgotten at any time.

    Requests that are done in parts work on `wires`, which they share; parts that need a connection for themselves, on
    `lanes` of the pool. `claims` are those that keep an Idempotency-Key locked.
    """

    pool: Pool
    clock: Clock
    settings: Settings
    news: News
    caches: dict[str, Any] = field(default_factory=dict)
    figures: list[Figures] = field(default_factory=list)
    exports: Counter[str] = field(default_factory=Counter)
    """Exports that this process is sending, by workspace."""
    uploads: Counter[str] = field(default_factory=Counter)
    """Uploads that this process is receiving, by workspace."""
    wires: Wires = field(init=False)
    lanes: Share = field(init=False)
    claims: Share = field(init=False)

    def __post_init__(self) -> None:
        # A request in many parts holds a connection while it waits for others: however many such requests come, a
        # sixth of the pool is left to those that wait for nothing.
        assert self.settings.database_url is not None
        self.wires = Wires(self.settings.database_url)
        rest, quarter = max(1, self.settings.pool_size // 6), max(1, self.settings.pool_size // 4)
        self.lanes = Share(self.settings.pool_size - rest - quarter)
        self.claims = Share(quarter)


def make_resources(settings: Settings, clock: Clock) -> Resources:
    """The resources of a process; the pool is not open yet. `settings.database_url` names a migrated database."""
    assert settings.database_url is not None
    pool = make_pool(settings.database_url, settings.pool_size)
    return Resources(pool, clock, settings, News(settings.database_url))


def resources(request: Request) -> Resources:
    """The resources of the process that serves this request."""
    found: Resources = request.app.state.resources
    return found


def json_answer(content: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer whose JSON text is ready: it is not parsed and checked a second time."""
    return Response(content, status, headers, "application/json")


def data_answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer that holds one object."""
    return json_answer(f'{{"data":{model.model_dump_json()}}}', status, headers)
