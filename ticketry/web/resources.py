"""What the edge works with: made once when the process starts, reached through the request, never global."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from ticketry.core.clock import Clock
from ticketry.db.pool import Pool, make_pool
from ticketry.settings import Settings
from ticketry.web.news import News


@dataclass(slots=True)
class Resources:
    """The pool, the clock and the settings of one process; `caches` holds what may be forgotten at any time."""

    pool: Pool
    clock: Clock
    settings: Settings
    news: News
    caches: dict[str, Any] = field(default_factory=dict)


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
