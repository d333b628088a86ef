"""`ticketry demo`: sample data, with a progress bar, and a key to look at it."""

import sys

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ticketry import demo
from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.models import KeyIn
from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.commands.database import existing, run_on, run_with_pool
from ticketry.commands.places import agency
from ticketry.core.clock import system_clock
from ticketry.db.pool import Pool, Tx
from ticketry.settings import Settings


def run(settings: Settings, tickets: int) -> None:
    """Fills a new workspace and prints a key of it."""
    with existing(settings) as url, _progress() as bar:
        agency_id = run_on(url, agency)
        task = bar.add_task(f"Working on {tickets} tickets", total=1)

        async def fill(pool: Pool) -> Workspace:
            done = lambda share: bar.update(task, completed=share)  # noqa: E731 - a name for one line
            return await demo.fill(pool, agency_id, tickets, system_clock(), done)

        workspace = run_with_pool(url, fill)
        key = run_on(url, lambda tx: _key(tx, workspace.id))
    typer.echo(key)
    show.note(
        f"Workspace {workspace.name} ({workspace.id}) has {tickets} tickets. Above is its key, shown only this once."
    )


async def _key(tx: Tx, workspace_id: str) -> str | None:
    scopes = [scope for scope in ALL_SCOPES if scope not in HOME_SCOPES]
    body = show.parse(KeyIn, {"name": "Demo", "scopes": scopes})
    return (await keys.create(tx, workspace_id, body, frozenset(ALL_SCOPES))).key


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
