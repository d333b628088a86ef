"""`ticketry mail`: what each command is called, takes and means. What it does stands in `ticketry/commands/mail*.py`."""

from typing import Annotated

import typer

from ticketry.commands.declare import DatabaseUrl, DataDir, Env, Workspace, group, place, settings

mail_app = group("Mail: what came in and what goes out.")


@mail_app.command("receive")
def receive(
    source: Annotated[str, typer.Argument(metavar="FILE", help="The mail as it came; - reads standard input.")],
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Take in a mail, for instance from the pipe of a mail server.

    Prints what became of it. Exit code 75 means that it should be sent again later, 65 that it is too large; mail
    servers understand both. The same mail twice does no harm.
    """
    from ticketry.commands.mail_in import receive as run

    run(lambda: settings(data_dir=data_dir, database_url=database_url), place(workspace, env), source)
