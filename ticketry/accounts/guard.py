"""The door: who is calling, how often, and may they? Then the body, then the work in one unit.

`GuardedRoute` is the route class of every API router. It keeps the published order of checks: 401, 429, 403, then
413/415/400, and only then what FastAPI does (422) and what the use case finds (404, 412, 409). It opens the unit of
work and commits it before a byte of the answer is sent, so what was answered is stored. Endpoints answer with a
`Response`: their models are for the documentation.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar, get_args

from fastapi import Depends, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.routing import Match
from starlette.types import Receive, Send
from starlette.types import Scope as Asked

from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.models import Credential
from ticketry.accounts.keys.rules import check_works, digest
from ticketry.accounts.keys.scopes import Scope
from ticketry.core.actor import Actor
from ticketry.core.errors import AuthenticationError, PermissionDenied, RateLimited
from ticketry.db.pool import Tx, unit
from ticketry.web import body, limits
from ticketry.web.arguments import arguments_of
from ticketry.web.idempotency import IDEMPOTENCY_HEADER, Claim, once
from ticketry.web.limits import Allowance
from ticketry.web.resources import Resources, resources

CACHE_SECONDS = 0.5
"""How long a process trusts what it read of a key: a revocation holds everywhere within one second."""
CACHE_SIZE = 10_000


class _Caller(HTTPBearer):
    """Gives an endpoint the actor that `admit` let in, and OpenAPI the way to show a key."""

    def __call__(self, request: Request) -> Actor:  # type: ignore[override]
        found: Actor = request.state.actor
        return found


_caller = _Caller(scheme_name="apiKey", description="An API key, `sk_live_…` or `sk_test_…`.")


def _unit(request: Request) -> Tx:
    found: Tx = request.state.tx
    return found


Unit = Annotated[Tx, Depends(_unit)]
"""The unit of work of this request."""


def needs(scope: Scope) -> Any:
    """Stands in an endpoint's signature: `actor: Annotated[Actor, needs("tickets:read")]`."""
    return Security(_caller, scopes=[scope])


def one_statement(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Marks an endpoint whose use case writes by exactly one statement, which needs no transaction around it."""
    endpoint.one_statement = True  # type: ignore[attr-defined]
    return endpoint


def moves_bytes(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Marks an endpoint that takes or sends files: it reads its body itself, in pieces, and opens its own units.

    The door stays the same (401, 429, 403); no unit is open around it, so none is while bytes move.
    """
    endpoint.moves_bytes = True  # type: ignore[attr-defined]
    return endpoint


def many_units(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Marks an endpoint that opens units itself, one for each part of its work; `request.state.claim` is its
    Idempotency-Key, None if there is none."""
    endpoint.many_units = True  # type: ignore[attr-defined]
    return endpoint


def sends(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Marks an endpoint that calls another server while its caller waits: no transaction may stay open meanwhile, so
    it opens its own units, and no answer of it is kept for an `Idempotency-Key`.
    """
    endpoint.sends = True  # type: ignore[attr-defined]
    return endpoint


def scope_of(endpoint: Callable[..., Any]) -> Scope | None:
    """The scope that an endpoint's signature asks for."""
    for parameter in inspect.signature(endpoint, eval_str=True).parameters.values():
        for marker in get_args(parameter.annotation)[1:]:
            if scopes := getattr(marker, "scopes", None):
                found: Scope = scopes[0]
                return found
    return None


def _secret(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").strip().partition(" ")
    if not scheme:
        raise AuthenticationError("missing_api_key", "No API key provided")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationError("invalid_api_key", "Send the API key as: Authorization: Bearer sk_…")
    return secret.strip()


async def _recognise(house: Resources, secret: str) -> Credential:
    cache: dict[bytes, tuple[float, Credential]] = house.caches.setdefault("credentials", {})
    known = cache.get(key_hash := digest(secret))
    if known is not None and known[0] > time.monotonic():
        return known[1]
    async with unit(house.pool, house.clock(), atomic=False) as tx:
        found = await keys.recognise(tx, secret)
    if found is None:
        raise AuthenticationError("invalid_api_key", "Invalid API key provided")
    if len(cache) >= CACHE_SIZE:
        cache.clear()
    cache[key_hash] = (time.monotonic() + CACHE_SECONDS, found)
    return found


async def _authenticate(request: Request, house: Resources) -> Credential:
    """The caller's credential, or 401. Who has none is counted by address."""
    try:
        credential = await _recognise(house, _secret(request))
        check_works(credential.revoked, credential.expires_at, house.clock())
    except AuthenticationError:
        await count_address(request)
        raise
    return credential


async def count_address(request: Request) -> None:
    """Counts a request without a valid key by the address it came from."""
    house = resources(request)
    if house.settings.address_limit is not None:
        address = request.client.host if request.client else "unknown"
        await _count(request, f"address:{address}", Allowance(house.settings.address_limit, None))


async def _count(request: Request, bucket: str, allowance: Allowance) -> None:
    house = resources(request)
    try:
        request.state.rate = await limits.count(house.pool, bucket, allowance, house.clock())
    except RateLimited as error:
        request.state.rate = error.rate
        raise


async def admit(request: Request, scope: Scope) -> Actor:
    """Lets a request in: 401, 429 and 403 in this order."""
    credential = await _authenticate(request, resources(request))
    actor = credential.actor
    await _count(request, f"key:{actor.key_id}", credential.allowance)
    if scope not in actor.scopes:
        raise PermissionDenied("insufficient_scope", f"This API key lacks the scope {scope}", required_scope=scope)
    return actor


class GuardedRoute(APIRoute):
    """A route that asks for a key. One whose endpoint names no scope cannot be made."""

    words: ClassVar[set[str]] = set()
    """Paths without a place for an id. `bulk` in `/v1/tickets/bulk` is a word of ours and no ticket's id, whatever the
    method."""

    def __init__(self, path: str, *args: Any, **options: Any) -> None:
        super().__init__(path, *args, **options)
        self.app = self._answer
        self.has_places = "{" in path
        if not self.has_places:
            self.words.add(path)

    def matches(self, scope: Asked) -> tuple[Match, Asked]:
        """Whether the route is for this path and method."""
        if self.has_places and scope["path"] in self.words:
            return Match.NONE, {}
        return super().matches(scope)

    async def _answer(self, scope: Asked, receive: Receive, send: Send) -> None:
        """The route as an application. Errors are for the edge."""
        answer = await self.handler(Request(scope, receive, send))
        await answer(scope, receive, send)

    def _endpoint_called(self) -> Callable[[Request], Awaitable[Response]]:
        endpoint, arguments = self.endpoint, arguments_of(self.dependant)

        async def called(request: Request) -> Response:
            answer: Response = await endpoint(**await arguments(request))
            return answer

        return called

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        inner = self._endpoint_called()
        scope = scope_of(self.endpoint)
        if scope is None:
            raise TypeError(f"{self.endpoint.__name__} names no scope: every route is guarded")
        reads = (self.methods or set()) <= {"GET"}
        atomic = not (reads or getattr(self.endpoint, "one_statement", False))
        moves = getattr(self.endpoint, "moves_bytes", False)
        in_parts = getattr(self.endpoint, "many_units", False)
        repeatable = bool((self.methods or set()) & {"POST", "PUT", "PATCH"}) and not hasattr(self.endpoint, "sends")

        async def handle(request: Request) -> Response:
            house = resources(request)
            request.state.actor = actor = await admit(request, scope)
            if moves:
                return await inner(request)
            if not reads:
                request = body.StrictRequest(request.scope, body.bounded(request.receive, house.settings.body_limit))
                await body.check(request, house.settings.body_limit)
                claim = None
                if repeatable and IDEMPOTENCY_HEADER in request.headers:
                    claim = Claim.of(request, actor, await request.body())
                if in_parts:
                    request.state.claim = claim
                    try:
                        return await inner(request)
                    finally:
                        house.news.written.set()  # some parts are done, also when the whole is not
                if claim is not None:
                    answer = await once(request, claim, inner)
                    house.news.written.set()
                    return answer
            async with unit(house.pool, house.clock(), atomic=atomic) as tx:
                request.state.tx = tx
                answer = await inner(request)
            if not reads:
                house.news.written.set()
            return answer

        self.handler = handle
        return handle
