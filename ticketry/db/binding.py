"""Parameters whose types stay the same from call to call, so that a statement is prepared once and not in hundreds of
variants: psycopg keeps one for every combination of types, and would send a small number as another type than a large
one, and nothing or an empty list as no type at all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.abc import AdaptContext, Buffer, DumperKey
from psycopg.adapt import Dumper, PyFormat, Transformer
from psycopg.pq import Format
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import (
    Int4Dumper,
    Int8,
    Int8BinaryDumper,
    Int8Dumper,
    IntNumeric,
    IntNumericBinaryDumper,
    IntNumericDumper,
)
from pydantic_core import from_json

from ticketry.db.sql import Compiled


class Untold:
    """A value that does not tell its type (None, an empty list), with the type that its place is known for."""

    __slots__ = ("raw", "type")

    def __init__(self, type: int, raw: bytes | None) -> None:
        self.type = type
        self.raw = raw


class _UntoldDumper(Dumper):
    def get_key(self, obj: Untold, format: PyFormat) -> DumperKey:
        return (Untold, obj.type)  # type: ignore[return-value]

    def upgrade(self, obj: Untold, format: PyFormat) -> Dumper:
        dumper = _UntoldDumper(Untold)
        dumper.oid = obj.type
        return dumper

    def dump(self, obj: Untold) -> Buffer | None:
        return obj.raw


class _IntegerInText(Int4Dumper):
    """Four bytes for what fits into them, else eight, else a decimal. psycopg sends arrays as text, lone integers as
    bits."""

    large: tuple[type[Dumper], type[Dumper]] = Int8Dumper, IntNumericDumper

    def get_key(self, obj: int, format: PyFormat) -> DumperKey:
        if -(2**31) <= obj < 2**31:
            return self.cls
        return (self.cls, Int8 if -(2**63) <= obj < 2**63 else IntNumeric)

    def upgrade(self, obj: int, format: PyFormat) -> Dumper:
        return self.large[not -(2**63) <= obj < 2**63](self.cls)


class _Integer(_IntegerInText):
    format = Format.BINARY
    large = Int8BinaryDumper, IntNumericBinaryDumper

    def dump(self, obj: int) -> Buffer | None:
        return int(obj).to_bytes(4, "big", signed=True)


def register(context: AdaptContext) -> None:
    """Statements of this connection take values as `bound` gives them; JSON is read by pydantic, which is quicker."""
    for dumper in (_IntegerInText, _Integer):
        context.adapters.register_dumper(int, dumper)
    context.adapters.register_dumper(Untold, _UntoldDumper)
    set_json_loads(from_json, context)


def bound(context: AdaptContext, query: Compiled, params: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    """The values for the places of a query. What does not tell its type takes the one that was last seen there."""
    given: Any = params
    values = [given[place] for place in query.places]
    for n, value in enumerate(values):
        if value is None or value == []:
            if known := query.types[n]:
                values[n] = Untold(known, None if value is None else b"{}")
        elif query.types[n] is None:
            query.types[n] = Transformer(context).get_dumper(value, PyFormat.AUTO).oid
    return values
