"""Reading a request's body: its size, its type and its JSON, each refused in our words."""

import json
import re
from typing import Any, NoReturn

from fastapi import Request
from starlette.types import Message, Receive

from ticketry.core.errors import InvalidRequest
from ticketry.web.problems import malformed_json

_JSON_TYPE = re.compile(r"application/([a-z0-9.!#$&^_-]+\+)?json", re.ASCII)


def too_large(limit: int, what: str = "The request body") -> InvalidRequest:
    """The body, or a part of it, has more bytes than the server takes."""
    return InvalidRequest("body_too_large", f"{what} is larger than {limit} bytes", limit=limit)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def strict_json(raw: bytes) -> Any:
    """`raw` as JSON: UTF-8, no NaN, no Infinity. Raises `malformed_json` (400)."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise malformed_json() from None


class StrictRequest(Request):
    """A request whose body is bounded and whose JSON is read strictly."""

    async def json(self) -> Any:
        """The body as JSON; read once."""
        if not hasattr(self, "_read"):
            self._read = strict_json(await self.body())
        return self._read


def bounded(receive: Receive, limit: int) -> Receive:
    """`receive` that refuses once more than `limit` bytes have come, also when no length was announced."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise too_large(limit)
        return message

    return counted


async def check(request: Request, limit: int) -> None:
    """Refuses a body that is too large (413), not JSON by its type (415) or not JSON (400)."""
    length = request.headers.get("content-length")
    if length is not None and length.isdecimal() and int(length) > limit:
        raise too_large(limit)
    if not await request.body():
        return
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON_TYPE.fullmatch(media_type):
        raise InvalidRequest("unsupported_media_type", "Send the body as application/json")
    await request.json()
