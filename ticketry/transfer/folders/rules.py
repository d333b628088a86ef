"""What a folder must be to be read, and what the database's refusals mean in its words."""

import re
from collections.abc import Collection, Mapping, Sequence

from pydantic import ValidationError

from ticketry.core.errors import OperatorError
from ticketry.transfer.folders.models import FILES, FORMAT, MANIFEST, TABLES, WORKSPACE, Manifest

_DECORATION = re.compile(r"^(workspace_id_)?(.*?)_?(check|fkey|key|pkey)?\d*$")
_FORMAT = re.compile(r'"format"\s*:\s*(\d+)')
_COPY_LINE = re.compile(r"\bCOPY \w+, line (\d+)")


def read_manifest(text: str) -> Manifest:
    """The manifest in `text`. Raises `OperatorError`."""
    told = _FORMAT.search(text)
    if told and int(told[1]) != FORMAT:
        raise OperatorError(f"{MANIFEST}: format {told[1]} is not known to this program, which reads format {FORMAT}")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise OperatorError(f"{MANIFEST}: {place + ': ' if place else ''}{first['msg']}") from None
    known = {WORKSPACE, *(table.name for table in TABLES)}
    if wrong := sorted(known ^ manifest.tables.keys()):
        there = "is not known to this program" if wrong[0] in manifest.tables else "is missing"
        raise OperatorError(f"{MANIFEST}: tables: {wrong[0]} {there}")
    return manifest


def check_columns(table: str, given: Sequence[str], present: Collection[str]) -> None:
    """Raises `OperatorError` if a file has columns that this program's table has not."""
    if unknown := [name for name in given if name not in present]:
        raise OperatorError(
            f"{MANIFEST}: {table}: this program knows no {unknown[0]}; use the version that exported it"
        )


def field_of(table: str, column: str | None, constraint: str | None) -> str | None:
    """The field that a refusal is about, from the name that PostgreSQL gave its constraint; None if it is several."""
    if column is not None:
        return column
    if constraint is None:
        return None
    if constraint == f"{table}_pkey":
        return "id"
    found = _DECORATION.match(constraint.removeprefix(f"{table}_"))
    return found[2] or None if found else None


def line_of_copy(context: str | None) -> int | None:
    """The line that COPY stumbled over, from what PostgreSQL told of where it was."""
    found = _COPY_LINE.search(context or "")
    return int(found[1]) if found else None


def foreign(kinds: Mapping[str, str], manifest: Manifest | None) -> list[str]:
    """What lies in a folder and is no part of the export that its manifest tells of. `kinds` says of each name whether
    it is a `file` or a `folder`.
    """
    own: dict[str, str] = {}
    if manifest is not None:
        own = {MANIFEST: "file", FILES: "folder", **{f"{name}.ndjson": "file" for name in manifest.tables}}
    return sorted(name for name, kind in kinds.items() if own.get(name) != kind)
