"""Every route of the application, found by walking it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute

from ticketry.accounts.guard import GuardedRoute, scope_of
from ticketry.app import create_app
from ticketry.settings import load

PUBLIC = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/static"}
"""What may be asked for without a key; everything else is guarded."""
WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Call(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    scope: str | None
    route: Any

    @property
    def url(self) -> str:
        """The path with something harmless in its places."""
        return re.sub(r"\{\w+\}", "x", self.path)


@cache
def an_app() -> FastAPI:
    """The application, never started."""
    return create_app(load({"database_url": "postgresql:///none", "run_worker": False}, {}))


def _walk(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        if inner := getattr(route, "original_router", None):
            yield from _walk(inner.routes)
        else:
            yield route


def every_route() -> list[Any]:
    """The routes and mounts themselves."""
    return list(_walk(an_app().routes))


def calls() -> list[Call]:
    """Every guarded call."""
    found = [
        Call(method, route.path, scope_of(route.endpoint), route)
        for route in every_route()
        if isinstance(route, GuardedRoute)
        for method in sorted(route.methods or ())
    ]
    assert len(found) >= 20
    return found


def writes() -> list[Call]:
    """Every guarded call that may have a body."""
    return [call for call in calls() if call.method in WRITES]


def takes_a_file(call: Call) -> bool:
    """Whether the body is a form with a file, not JSON."""
    return bool(getattr(call.route.endpoint, "moves_bytes", False))


def has_body(call: Call) -> bool:
    """Whether the endpoint takes a body."""
    assert isinstance(call.route, APIRoute)
    return call.route.body_field is not None


def name(call: Call) -> str:
    """The call as a test's id."""
    return f"{call.method} {call.path}"
