"""What the declarations of commands share: groups, options, and how options become settings and places.

Nothing heavy is imported here, so that `--help` need not load a server.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the embedded PostgreSQL [default: ./ticketry-data].", show_default=False),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="A PostgreSQL 16 or newer to use instead of the embedded one: postgresql://user:password@host/database.",
        show_default=False,
    ),
]
InsecureWebhooks = Annotated[
    bool,
    typer.Option(
        "--allow-insecure-webhooks", help="Let webhooks use http and private addresses: for development only."
    ),
]
Workspace = Annotated[
    str | None,
    typer.Option(help="Id or name of the workspace [default: your agency's own].", show_default=False),
]
Env = Annotated[
    Literal["live", "test"] | None,
    typer.Option(help="Which of the agency's own workspaces, or of two of the same name.", show_default=False),
]
Search = Annotated[str | None, typer.Option(help="Only those with this in the name or mail address.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the id alone.")]
GivenId = Annotated[str | None, typer.Option("--id", help="An id to keep, for instance from an import.")]


def group(about: str, **more: Any) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(
        help=about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown" if sys.stdout.isatty() else None,
        **more,
    )


def settings(**options: Any) -> Any:
    """The settings in force."""
    from ticketry.settings import load

    return load(options)


def place(workspace: str | None, env: Literal["live", "test"] | None) -> Any:
    """Where a command works."""
    from ticketry.commands.places import Place

    return Place(workspace, env)
