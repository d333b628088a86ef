"""`ticketry export` and `ticketry import`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace, WorkspaceIn
from ticketry.attachments import service as attachments
from ticketry.attachments.files import Files, open_files
from ticketry.commands import show
from ticketry.commands.database import existing, run_with_pool
from ticketry.commands.places import Place, agency, find
from ticketry.core.clock import system_clock
from ticketry.core.errors import OperatorError, ValidationFailed, field_error
from ticketry.core.fields import parse_instant
from ticketry.db.pool import Pool, Tx, long_unit
from ticketry.settings import Settings
from ticketry.transfer.folders import disk, service
from ticketry.transfer.folders.models import Manifest


def export(settings: Settings, place: Place, folder: Path, quiet: bool) -> None:
    """Writes a workspace into a folder."""
    with existing(settings) as url, disk.draft(folder) as beside, _bar(quiet) as bar:

        async def work(pool: Pool) -> Manifest:
            async with long_unit(url, system_clock(), reads=True) as tx:
                workspace = await find(tx, place)
                task = bar.add_task(f"Exporting {workspace.name}", total=await service.size(tx, workspace.id))
                told = partial(bar.advance, task)
                return await service.take(tx, workspace, partial(open_files, settings), beside, told)

        manifest = run_with_pool(url, work)
    if not quiet:
        show.note(f"Workspace {manifest.workspace.name} is in {folder}: {_content(manifest)}.")


def bring(settings: Settings, place: Place, new: str | None, folder: Path, quiet: bool) -> None:
    """Reads a folder into a workspace and prints the workspace's id."""
    if (new is None) is (place.workspace is None):
        message = "name either a workspace that is empty (--workspace) or a new one (--new)"
        raise ValidationFailed(field_error("workspace", "ambiguous", message))
    manifest = service.check(folder)
    with existing(settings) as url, _bar(quiet) as bar:
        task = bar.add_task(f"Importing {manifest.workspace.name}", total=service.rows_of(manifest))
        files = partial(open_files, settings)

        async def work(pool: Pool) -> Workspace:
            try:
                async with long_unit(url, system_clock(), reads=False) as tx:
                    workspace = await find(tx, place) if new is None else await _added(tx, new, folder)
                    told = partial(bar.advance, task)
                    await service.bring(tx, pool, workspace, folder, manifest, files, told, new=new is not None)
            except BaseException:
                await _take_back(pool, files)
                raise
            return workspace

        workspace = run_with_pool(url, work)
    show.made(workspace.id, f"Workspace {workspace.name} holds {_content(manifest)}. It has no new keys.", quiet)


async def _added(tx: Tx, name: str, folder: Path) -> Workspace:
    row = await service.settings_of(folder)
    body = show.parse(WorkspaceIn, {"name": name})
    try:
        environment = show.parse(WorkspaceIn, {"name": name, "environment": row.get("environment")}).environment
        created_at = parse_instant(row.get("created_at"))
    except ValidationFailed as error:
        raise OperatorError(f"workspaces.ndjson line 1: {error}") from None
    except ValueError as error:
        raise OperatorError(f"workspaces.ndjson line 1: created_at: {error}") from None
    body = body.model_copy(update={"environment": environment})
    return await workspaces.adopt(tx, await agency(tx), body, created_at)


async def _take_back(pool: Pool, files: Callable[[], Files]) -> None:
    """Nothing half done: the files of an import that failed go too. What cannot go now is the timer's."""
    with suppress(Exception):
        await attachments.sweep_abandoned(pool, system_clock, files())


def _content(manifest: Manifest) -> str:
    rows: dict[str, Any] = {name: entry.rows for name, entry in manifest.tables.items()}
    return ", ".join(f"{rows[name]} {name}" for name in ("tickets", "comments", "events", "contacts", "users"))


@contextmanager
def _bar(quiet: bool) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty() and not quiet
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as bar:
        yield bar
