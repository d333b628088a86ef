"""`ticketry sla`."""

import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.commands.database import existing, run, run_on, run_with_pool
from ticketry.commands.places import Place, all_workspaces, find
from ticketry.core.clock import system_clock
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.core.fields import parse_instant
from ticketry.db.pool import Pool, Tx, unit
from ticketry.settings import Settings
from ticketry.sla.policies import service as policies
from ticketry.sla.policies.models import CalendarIn, CalendarObject, PolicyObject
from ticketry.tickets.promises import service as promises
from ticketry.tickets.promises import store


def replay(settings: Settings, place: Place, since: str | None) -> None:
    """Prints where stored results and events disagree; exit code 1 if they do."""
    begin = None if since is None else _since(since)
    with existing(settings) as url, _progress() as bar:
        found = run_on(url, lambda tx: _meant(tx, place))
        total = run_on(url, lambda tx: _count(tx, found, begin))
        task = bar.add_task("Replaying tickets", total=total)

        async def work(pool: Pool) -> tuple[int, int]:
            done = wrong = 0
            for workspace in found:
                async for tickets, lines in _batches(pool, workspace.id, begin):
                    for line in lines:
                        typer.echo(f"{workspace.name}\t{line}")
                    done, wrong = done + tickets, wrong + len(lines)
                    bar.update(task, completed=done)
            return done, wrong

        done, wrong = run_with_pool(url, work)
    show.note(f"{done} tickets replayed, {wrong or 'no'} difference{'' if wrong == 1 else 's'}.")
    if wrong:
        raise typer.Exit(1)


def _since(text: str) -> datetime:
    """A day means its beginning, UTC."""
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError:
        message = "must be a day (2026-12-31) or an instant with an offset (2026-12-31T18:00:00Z)"
        raise ValidationFailed(field_error("since", "instant", message)) from None


async def _meant(tx: Tx, place: Place) -> list[Workspace]:
    return [await find(tx, place)] if place.named else await all_workspaces(tx)


async def _count(tx: Tx, found: list[Workspace], since: datetime | None) -> int:
    return sum([await store.count(tx, workspace.id, since) for workspace in found])


async def _batches(pool: Pool, workspace_id: str, since: datetime | None) -> AsyncIterator[tuple[int, list[str]]]:
    """For each batch of tickets how many, and their differences. Each is one snapshot: others may write meanwhile."""
    after = ""
    while True:
        async with unit(pool, system_clock()) as tx:
            await store.snapshot(tx)
            found = await store.batch(tx, workspace_id, after, promises.BATCH, only_open=False, since=since)
            lines = await promises.replay(tx, workspace_id, found)
        if not found:
            return
        yield len(found), lines
        after = found[-1].id


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def create_calendar(settings: Settings, place: Place, values: dict[str, Any], quiet: bool) -> None:
    """Adds a calendar."""

    async def work(tx: Tx) -> tuple[CalendarObject, Workspace]:
        workspace = await find(tx, place)
        return await policies.create_calendar(tx, workspace.id, show.parse(CalendarIn, values)), workspace

    calendar, workspace = run(settings, work)
    show.made(calendar.id, f"{calendar.name} is a calendar of workspace {workspace.name}.", quiet)


def list_calendars(settings: Settings, place: Place) -> None:
    """Shows the calendars of a workspace by name."""

    async def work(tx: Tx) -> list[CalendarObject]:
        workspace = await find(tx, place)
        return await show.every(lambda asked: policies.calendars(tx, workspace.id, asked))

    columns = ("id", "name", "opening_hours", "time_zone", "country", "closed_days")
    show.objects(columns, run(settings, work))


def list_policies(settings: Settings, place: Place) -> None:
    """Shows the policies of a workspace in their order."""

    async def work(tx: Tx) -> list[PolicyObject]:
        workspace = await find(tx, place)
        return await show.every(lambda asked: policies.page(tx, workspace.id, asked))

    headings = ("id", "name", "version", "position", "active", "calendar", "targets", "conditions")
    rows = (
        (one.id, one.name, one.version, one.position, one.active, one.calendar_id, _targets(one), _conditions(one))
        for one in run(settings, work)
    )
    show.table(headings, rows)


def _targets(policy: PolicyObject) -> str:
    return ", ".join(
        f"{priority}: {target.response or '-'}/{target.resolution or '-'}"
        for priority, target in sorted(policy.targets.items())
    )


def _conditions(policy: PolicyObject) -> str:
    given = policy.conditions.model_dump(exclude_none=True)
    return "; ".join(f"{name}: {', '.join(map(str, values))}" for name, values in given.items()) or "-"
