"""The outermost layer: request ids, the headers of every answer, figures for /metrics, and errors as answers."""

import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache

import structlog
from fastapi import Request
from fastapi.responses import Response
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticketry.core.errors import TicketryError
from ticketry.core.ids import mint
from ticketry.web.limits import Rate, unlimited
from ticketry.web.problems import crash_problem, is_stray, problem_of
from ticketry.web.resources import Resources
from ticketry.web.streams import Stalled

log = structlog.get_logger()

REQUESTS = Counter("ticketry_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "ticketry_request_seconds",
    "Time to answer, seconds.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
_GIVEN_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is harmless, else one of ours."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(text := value.decode("latin-1")):
            return str(text)
    return mint("req")


@lru_cache(maxsize=4096)
def _figures(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The figures of one kind of answer; to look them up by their labels costs more than to count."""
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(route)


class Edge:
    """Wraps the whole application; pure ASGI, so that it costs little on every request.

    `on_stray` counts a request for a path that is not there; it may refuse it.
    """

    def __init__(self, app: ASGIApp, resources: Resources, on_stray: Callable[[Request], Awaitable[None]]) -> None:
        self.app = app
        self.resources = resources
        self.on_stray = on_stray

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        started = time.perf_counter()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, state)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            log.info("client hung up", request_id=state["request_id"], path=scope["path"])
        except Exception as error:
            if status is not None:  # too late for another answer: the connection is cut
                if isinstance(error, Stalled | TicketryError):  # the server cuts what is not complete
                    log.warning("answer cut off", request_id=state["request_id"], path=scope["path"], reason=str(error))
                    return
                log.exception("request failed", request_id=state["request_id"], path=scope["path"])
                raise
            problem = await self._problem(Request(scope, receive), error)
            await problem(scope, receive, answer)
        finally:
            self._measure(scope, 500 if status is None else status, time.perf_counter() - started)

    async def _problem(self, request: Request, error: Exception) -> Response:
        """The answer that tells of an error."""
        if is_stray(error):
            try:
                await self.on_stray(request)
            except Exception as another:  # a refusal, or the database is gone: both have answers
                error = another
        problem = problem_of(request, error)
        if problem is None:
            log.error("request failed", request_id=request.state.request_id, path=request.url.path, exc_info=error)
            return crash_problem(request.state.request_id)
        return problem

    def _add_headers(self, message: Message, state: dict[str, object]) -> None:
        rate = state.get("rate")
        if not isinstance(rate, Rate):
            rate = unlimited(self.resources.clock())
        headers = message["headers"] = list(message.get("headers", []))
        given = {name for name, _ in headers}
        headers += [header for header in SECURITY_HEADERS if header[0] not in given]
        headers += [
            (b"x-request-id", str(state["request_id"]).encode()),
            (b"x-ratelimit-limit", b"%d" % rate.limit),
            (b"x-ratelimit-remaining", b"%d" % rate.remaining),
            (b"x-ratelimit-reset", b"%d" % rate.reset),
        ]
        if API_POLICY[0] not in given:
            headers.append(API_POLICY)

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        answered, took = _figures(scope["method"], getattr(scope.get("route"), "path", "none"), status)
        answered.inc()
        took.observe(seconds)
        if self.resources.settings.log_requests:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 2),
                request_id=scope["state"]["request_id"],
            )
