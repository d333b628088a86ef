"""Query parameters that hold several values, separated by commas."""

from collections.abc import Callable
from typing import Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ticketry.core.fields import check_storable

_MOST = 50


def comma_separated(allowed: tuple[str, ...] | None, limit: int = 100) -> tuple[Any, ...]:
    """Metadata for a list of values, each once: some of those `allowed`, or any of up to `limit` characters.

    The parameter may be given once or more often. Used as `Annotated[list[str] | None, *comma_separated(...)]`.
    """
    return BeforeValidator(_split(allowed, limit)), _schema(allowed, limit)


def _split(allowed: tuple[str, ...] | None, limit: int) -> Callable[[object], object]:
    def split(value: object) -> object:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list):
            return value
        parts = list(dict.fromkeys(part.strip() for text in given for part in str(text).split(",")))
        if len(parts) > _MOST or not all(1 <= len(part) <= limit for part in parts):
            raise PydanticCustomError("list", "must be 1 to {most} values, separated by commas", {"most": _MOST})
        for part in parts:
            check_storable(part)
            if allowed and part not in allowed:
                raise PydanticCustomError(
                    "enum", "{part} is none of {allowed}", {"part": part, "allowed": ", ".join(allowed)}
                )
        return parts

    return split


def _schema(allowed: tuple[str, ...] | None, limit: int) -> WithJsonSchema:
    one = "|".join(allowed) if allowed else rf"[^,\u0000]{{1,{limit}}}"
    return WithJsonSchema({"type": "string", "pattern": rf"^({one})(,({one}))*$"})
