"""Errors as answers: the one place where an error gets its status and its JSON."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ticketry.core.errors import TicketryError, ValidationFailed, field_error
from ticketry.db.pool import GAVE_UP

log = structlog.get_logger()

STATUS_OF_KIND = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found": 404,
    "conflict": 409,
    "precondition_failed": 412,
    "validation_error": 422,
    "rate_limit_error": 429,
    "api_error": 500,
}
STATUS_OF_CODE = {
    "malformed_json": 400,
    "malformed_multipart": 400,
    "method_not_allowed": 405,
    "upload_stalled": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "storage_not_set": 503,
    "storage_unavailable": 503,
    "storage_full": 507,
    "database_unavailable": 503,
    "database_busy": 503,
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MOST_ERRORS = 100
"""Wrong fields that one answer names; who sends more than that has other worries."""
_PLAIN_CODES = {
    404: ("not_found", "path_not_found", "No such path"),
    405: ("invalid_request", "method_not_allowed", ""),
}


class FieldError(BaseModel):
    """One wrong field."""

    field: str
    code: str
    message: str


class ErrorBody(BaseModel):
    """What went wrong. Errors may carry more beside these, for instance `closed_at` or `errors`."""

    model_config = {"extra": "allow"}

    type: str = Field(description="The family of the error.")
    message: str = Field(description="A sentence for people.")
    code: str = Field(description="A stable word for programs.")
    errors: list[FieldError] = Field(default=[], description="Every wrong field (422 only).")


class ErrorAnswer(BaseModel):
    """Every answer that is not a success."""

    error: ErrorBody


def status_of(error: TicketryError) -> int:
    """The HTTP status that an error is sent with."""
    return STATUS_OF_CODE.get(error.code) or STATUS_OF_KIND[error.kind]


def told(error: TicketryError) -> dict[str, Any]:
    """What an answer tells of an error."""
    return {"type": error.kind, "message": error.message, "code": error.code, **error.extras}


def render(error: TicketryError, headers: dict[str, str] | None = None) -> Response:
    """The answer that tells of an error."""
    body = told(error)
    more = dict(headers or {})
    if error.kind == "authentication_error":
        more["WWW-Authenticate"] = "Bearer"
    if "retry_after" in error.extras:
        more["Retry-After"] = str(error.extras["retry_after"])
    return JSONResponse({"error": body}, status_of(error), more)


def _field_name(location: tuple[int | str, ...]) -> str:
    """`("body", "tags", 3)` as the caller would write it: `tags.3`. The body as a whole is `body`."""
    inner = location[1:] if location and location[0] in {"body", "query", "path", "header"} else location
    name = ".".join(str(part) for part in inner) or "body"
    return name[:200].encode("utf-8", "replace").decode()


def validation_failed(errors: list[Any]) -> TicketryError:
    """Pydantic's errors in our words."""
    shown = errors[:MOST_ERRORS]
    fields = [field_error(_field_name(tuple(error["loc"])), error["type"], error["msg"]) for error in shown]
    return ValidationFailed(*fields)


def malformed_json() -> TicketryError:
    """The body is not JSON."""
    error = TicketryError("malformed_json", "The request body is not valid JSON")
    error.kind = "invalid_request"
    return error


def http_problem(request: Request, error: HTTPException) -> Response:
    """404 of unknown paths, 405 of wrong methods and 400 of unreadable bodies, in our shape."""
    if error.status_code == 400:
        return render(malformed_json())
    kind, code, message = _PLAIN_CODES.get(error.status_code, ("invalid_request", "invalid_request", str(error.detail)))
    text = message or f"{request.method} is not allowed here"
    body = {"error": {"type": kind, "message": text, "code": code}}
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request)) or "GET, HEAD"
    return JSONResponse(body, error.status_code, headers)


def _allowed_methods(request: Request) -> list[str]:
    """The methods that this path answers: each is a route of its own, and the router names only the first.

    The first route that knows the path says which it is: `/v1/tickets/export` is no ticket.
    """
    known = [route for route in _leaves(request.app.routes) if route.matches(request.scope)[0] is not Match.NONE]
    named = {method for route in known if route.path == known[0].path for method in getattr(route, "methods", ()) or ()}
    return [method for method in METHODS if method in named]


def _leaves(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes themselves, out of the routers that hold them."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from _leaves(router.routes)
        else:
            yield route


def crash(request_id: str) -> TicketryError:
    """A fault of ours, told without a stack trace."""
    message = "Something went wrong on our side. The request_id helps whoever runs this server to find out what."
    return TicketryError("internal_error", message, request_id=request_id)


def crash_problem(request_id: str) -> Response:
    """The answer to a fault of ours."""
    return render(crash(request_id))


def unavailable() -> TicketryError:
    """The database cannot be reached."""
    return TicketryError("database_unavailable", "The database cannot be reached at the moment", retry_after=2)


def is_stray(error: Exception) -> bool:
    """Whether the request was for a path or a method that is not there."""
    return isinstance(error, HTTPException) and error.status_code in _PLAIN_CODES


def problem_of(request: Request, error: Exception) -> Response | None:
    """The answer to an error that is not a fault of ours, else None."""
    if isinstance(error, TicketryError):
        return render(error)
    if isinstance(error, HTTPException):
        return http_problem(request, error)
    if isinstance(error, GAVE_UP):
        log.warning("request gave up", error=" ".join(str(error).split()))
        return render(TicketryError("database_busy", "This took too long; try again", retry_after=1))
    if isinstance(error, PoolTimeout | psycopg.OperationalError | psycopg.InterfaceError):
        log.error("database unavailable", error=str(error))
        return render(unavailable())
    return None
