"""`ticketry export` and `ticketry import`: what they take and mean. What they do stands in `commands/transfer.py`."""

from pathlib import Path
from typing import Annotated

import typer

from ticketry.commands.declare import DatabaseUrl, DataDir, Env, Workspace, place, settings

Quietly = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no remarks.")]


def export_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to: a new, an empty or an older export's folder.")
    ],
    workspace: Workspace = None,
    env: Env = None,
    quiet: Quietly = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write everything of a workspace into a folder.

    Its settings, users, contacts, calendars, policies, tickets, comments, resolutions, events and attachments, all as
    they stand at one moment, while servers go on working. No API keys and no other secrets. The folder appears when it
    is complete, and never half. `ticketry import` reads it back.
    """
    from ticketry.commands.transfer import export

    export(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), folder, quiet)


def import_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `ticketry export` wrote.")],
    workspace: Annotated[
        str | None, typer.Option(help="Id or name of a workspace that holds no tickets yet.", show_default=False)
    ] = None,
    new: Annotated[
        str | None, typer.Option("--new", metavar="NAME", help="Make a workspace of this name.", show_default=False)
    ] = None,
    env: Env = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, and print the id alone.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Read an exported folder into a workspace and print the workspace's id.

    All of it or, should anything be wrong with it, nothing. Ids and ticket numbers stay what they were. What happened
    before is not sent to webhooks or by mail again. Servers go on working, but webhooks, mail and the feed of events
    wait until the import has ended.
    """
    from ticketry.commands.transfer import bring

    bring(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), new, folder, quiet)
