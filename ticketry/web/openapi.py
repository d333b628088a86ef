"""What the OpenAPI document says beside the routes."""

from typing import Any

from ticketry.web.problems import ErrorAnswer

_MEANING = {
    400: "The body is not JSON.",
    401: "No API key, or one that is wrong, revoked or expired.",
    403: "The API key lacks the scope.",
    404: "Not found, or another workspace's.",
    408: "The body stopped coming.",
    409: "The present state forbids it.",
    412: "`If-Match` names another version.",
    413: "The body is too large.",
    415: "The body is not sent as JSON, or a file not as a form.",
    416: "The file has no such bytes; `Content-Range` says how many it has.",
    422: "One or more fields are wrong; `errors` names them all.",
    429: "Too many requests; `Retry-After` says when to come back.",
    500: "A fault of ours.",
    503: "The database or the file store cannot be reached.",
    507: "No room is left for the file.",
}
_EVERYWHERE = (400, 401, 403, 413, 415, 429, 500, 503)


def example(kind: str, code: str, message: str, **extras: Any) -> dict[str, Any]:
    """An error answer as it is sent."""
    return {"error": {"type": kind, "message": message, "code": code, **extras}}


def errors(*statuses: int, examples: dict[int, dict[str, Any]] | None = None) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route: those that every route may give, and `statuses`. `examples` shows some of them."""
    told: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorAnswer, "description": _MEANING[status]} for status in sorted({*_EVERYWHERE, *statuses})
    }
    for status, shown in (examples or {}).items():
        told[status]["content"] = {"application/json": {"example": shown}}
    return told
