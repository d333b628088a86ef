"""Field types that every room's models share: strict, bounded, and refused with a sentence that helps.

JSON is taken strictly (`"9"`, `9.5` and `true` are no integers); lengths count Unicode code points;
NUL and lone surrogates, which PostgreSQL cannot store, are refused.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

NO_NUL = r"^[^\u0000]*$"
MAX_JSON_DEPTH = 20
MOST_FIELDS = 200
LARGEST_INTEGER = 10**40
LARGEST_FLOAT = 1e21
"""Beyond these a number grows when it is stored: PostgreSQL writes 1e308 with 309 digits."""
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


_LEAP_SECOND = re.compile(r"(?<=:\d\d):60", re.ASCII)
"""RFC 3339 knows 23:59:60; nothing here counts it, so it is the second before."""


class StrictModel(BaseModel):
    """A request body: unknown fields are refused, types are not bent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _of_reasonable_size(cls, value: Any) -> Any:
        """Thousands of unknown fields are one mistake, not thousands."""
        if isinstance(value, dict) and len(value) > MOST_FIELDS:
            raise PydanticCustomError("too_many_fields", "has more than {most} fields", {"most": MOST_FIELDS})
        return value


def text(maximum: int, minimum: int = 1) -> Any:
    """Metadata for a string of `minimum` to `maximum` code points without NUL."""
    return StringConstraints(strict=True, min_length=minimum, max_length=maximum, pattern=NO_NUL)


def parse_instant(value: object) -> datetime:
    """An RFC 3339 instant as UTC in whole seconds. One without an offset is refused: it would be a guess."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError(
            "instant", "must be an RFC 3339 instant with an offset, for instance 2025-01-15T16:30:00Z"
        )
    try:
        instant = datetime.fromisoformat(_LEAP_SECOND.sub(":59", value.upper())).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise PydanticCustomError("instant", "is no instant that the calendar knows") from None
    return instant


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-01-15T16:30:00Z"]}),
]
"""An instant: in as any RFC 3339 text with an offset, out as UTC whole seconds with `Z`."""


def _check_json(value: Any, depth: int = 0) -> None:
    if depth > MAX_JSON_DEPTH:
        raise PydanticCustomError(
            "too_deep", "must not be nested deeper than {depth} levels", {"depth": MAX_JSON_DEPTH}
        )
    check_number(value)
    if isinstance(value, str):
        check_storable(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_storable(key)
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)


def check_number(value: Any) -> None:
    """Raises if `value` is a number that does not come back from the database as it went in."""
    if isinstance(value, float):
        size = abs(value)
        fits = math.isfinite(value) and size <= LARGEST_FLOAT and (size == 0 or size >= 1 / LARGEST_FLOAT)
    else:
        fits = not isinstance(value, int) or abs(value) <= LARGEST_INTEGER
    if not fits:
        raise PydanticCustomError("number", "must not hold a number that is out of range")


def check_storable(value: str) -> str:
    """`value` itself, if PostgreSQL can store it."""
    if "\x00" in value or (not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)):
        raise PydanticCustomError("characters", "must not hold NUL or lone surrogates")
    return value


def json_object(max_bytes: int) -> Any:
    """Metadata for a JSON object of any content whose text is at most `max_bytes` bytes."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        _check_json(value)
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > max_bytes:
            raise PydanticCustomError("too_large", "must be at most {max} bytes as JSON", {"max": max_bytes})
        return value

    return AfterValidator(check)


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=NO_NUL)]
"""A reference to an object, opaque to clients."""

Tag = Annotated[str, text(50)]
Tags = Annotated[list[Tag], Field(max_length=50), AfterValidator(_unique)]
"""At most 50 tags of 1 to 50 characters, kept in order, each once."""


def brought_id(prefix: str) -> Any:
    """Metadata for an id that the caller brings along, for instance `user_jane_smith`; at most 64 characters."""
    return StringConstraints(strict=True, max_length=64, pattern=rf"^{prefix}_[A-Za-z0-9_]+$")


def check_email(value: str) -> str:
    """`value` itself, if it has the form of a mail address. Whether mail arrives there is not asked."""
    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "is no mail address: {reason}", {"reason": str(error)}) from None
    return value
