"""`ticketry sla`: what each command is called, takes and means. What it does stands in `ticketry/commands/sla.py`."""

from typing import Annotated

import typer

from ticketry.commands.declare import DatabaseUrl, DataDir, Env, Quiet, Workspace, group, place, settings

sla_app = group("Promises about time: check what is stored, calendars and policies.")
calendars_app = group("Calendars: when a team works.")
policies_app = group("Policies: what is promised to which tickets.")
sla_app.add_typer(calendars_app, name="calendars")
sla_app.add_typer(policies_app, name="policies")


@sla_app.command("replay")
def replay(
    workspace: Annotated[
        str | None, typer.Option(help="Id or name of a workspace [default: all of them].", show_default=False)
    ] = None,
    env: Env = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only tickets changed since a day (2026-12-31, UTC) or instant.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Compute every stored SLA result anew from the tickets' events and print the differences.

    There should be none. Exit code 1 if there is one. Changes nothing, and works beside a running server.
    """
    from ticketry.commands.sla import replay as run

    run(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), since)


@calendars_app.command("create")
def create_calendar(
    name: Annotated[str, typer.Option(help="What it is called.")],
    hours: Annotated[str, typer.Option(help='OpenStreetMap opening_hours: "Mo-Fr 09:00-17:00; PH off".')],
    time_zone: Annotated[str, typer.Option(help="IANA zone, for instance Europe/Paris.")] = "UTC",
    country: Annotated[str | None, typer.Option(help="Country of the public holidays (PH), for instance FR.")] = None,
    closed: Annotated[str | None, typer.Option(help="Days closed besides, by comma: 2025-12-24,2025-12-31.")] = None,
    workspace: Workspace = None,
    env: Env = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a calendar to a workspace and print its id. Policies name it as their `calendar_id`."""
    from ticketry.commands.show import split
    from ticketry.commands.sla import create_calendar as create

    values = {"name": name, "opening_hours": hours, "time_zone": time_zone, "country": country}
    values |= {"closed_days": split(closed)}  # type: ignore[dict-item]
    create(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), values, quiet)


@calendars_app.command("list")
def list_calendars(
    workspace: Workspace = None, env: Env = None, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the calendars of a workspace by name."""
    from ticketry.commands.sla import list_calendars as show

    show(settings(data_dir=data_dir, database_url=database_url), place(workspace, env))


@policies_app.command("list")
def list_policies(
    workspace: Workspace = None, env: Env = None, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the policies of a workspace in the order in which they are tried.

    Targets are minutes, response/resolution for each priority.
    """
    from ticketry.commands.sla import list_policies as show

    show(settings(data_dir=data_dir, database_url=database_url), place(workspace, env))
