"""Rows as objects. psycopg would name the columns anew for every answer; a statement's never change."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from psycopg.rows import AsyncRowFactory, no_result

Make = Callable[[Sequence[Any]], Any]


@lru_cache(maxsize=512)
def rows_of(kind: type[Any], query: str) -> AsyncRowFactory[Any]:
    """Makes the rows of a statement `kind`, whose fields are named like the columns."""
    known: list[Make] = []

    def factory(cursor: Any) -> Make:
        if not known:
            if cursor.description is None:
                return no_result
            known.append(_maker(kind, [column.name for column in cursor.description]))
        return known[0]

    return factory


def _maker(kind: type[Any], names: list[str]) -> Make:
    if is_dataclass(kind) and [one.name for one in fields(kind) if one.init][: len(names)] == names:
        return lambda values: kind(*values)
    return lambda values: kind(**dict(zip(names, values, strict=True)))
