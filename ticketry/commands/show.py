"""How commands speak: tables and notes for people, plain text for programs, one line for an error."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ticketry.core.errors import ValidationFailed, field_error
from ticketry.db.paging import Page, PageIn

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
COLUMN = 50
"""Characters of a column on a terminal; longer values go on in the next line."""


def parse(kind: type[Model], values: Mapping[str, Any]) -> Model:
    """The values as `kind`; those that are None count as not given. Raises `ValidationFailed` naming the fields."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = [
            field_error(".".join(str(part) for part in one["loc"]), one["type"], one["msg"]) for one in error.errors()
        ]
        raise ValidationFailed(*found) from None


def split(text: str | None) -> list[str] | None:
    """The parts of a comma-separated option, blanks around them dropped."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def note(text: str) -> None:
    """A remark for the person at the terminal; standard output stays for results."""
    typer.echo(text, err=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal; elsewhere lines of tab-separated values below a line of headings."""
    texts = [[_text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(headings), *texts]:
            typer.echo("\t".join(" ".join(value.split()) for value in line))
        return
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for position, heading in enumerate(headings):
        drawn.add_column(heading, max_width=COLUMN if position else None, overflow="fold")
    for line in texts:
        drawn.add_row(*(Text(value) for value in line))
    # On a narrow terminal lines wrap: an id that is cut off could not be copied.
    needed = Console(width=1_000).measure(drawn).maximum
    Console(width=max(Console().width, needed)).print(drawn)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if hasattr(value, "strftime") else str(value)


def objects(columns: Sequence[str], found: Iterable[BaseModel]) -> None:
    """A table of objects, one column a field."""
    headings = [
        name.removesuffix("_at").removesuffix("_id").replace("_", " ") if name != "id" else name for name in columns
    ]
    table(headings, [[getattr(one, name) for name in columns] for one in found])


def made(identifier: str, remark: str, quiet: bool) -> None:
    """Tells of something new: its id for programs, a remark for people."""
    typer.echo(identifier)
    if not quiet:
        note(remark)


async def every(page: Callable[[PageIn], Awaitable[Page[Item]]]) -> list[Item]:
    """The items of all pages of a list."""
    found: list[Item] = []
    number = 1
    while True:
        got = await page(PageIn(page=number, per_page=100))
        found += got.data
        if number >= got.meta.total_pages:
            return found
        number += 1
