"""Pieces of SQL text made from column names that the program itself holds, never from a caller's words."""

from collections.abc import Iterable


def assignments(columns: Iterable[str]) -> str:
    """`a = %(a)s, b = %(b)s` for an UPDATE."""
    return ", ".join(f"{column} = %({column})s" for column in columns)
