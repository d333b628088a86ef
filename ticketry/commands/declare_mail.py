"""`ticketry mail`: what each command is called, takes and means. What it does stands in `mail.py` and `mail_in.py`."""

from typing import Annotated, Literal

import typer

from ticketry.commands.declare import DatabaseUrl, DataDir, Env, Workspace, group, place, settings

mail_app = group("Mail: what was sent, what is kept in the outbox, what failed; and mail that comes in.")


@mail_app.command("list")
def list_mail(
    status: Annotated[
        Literal["pending", "sent", "failed", "outbox", "skipped"] | None,
        typer.Option(help="Only those in this state.", show_default=False),
    ] = None,
    ticket: Annotated[
        str | None, typer.Option(help="Only those about this ticket: its id or number.", show_default=False)
    ] = None,
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List the newest mails of a workspace, the newest last.

    Without an SMTP server every mail is kept in the outbox, so you see here what would be sent.
    """
    from ticketry.commands.mail import list_all

    list_all(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), status, ticket)


@mail_app.command("show")
def show_mail(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The mail's id, as `mail list` shows it.")],
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print a mail: its headers and text, then every attempt to send it."""
    from ticketry.commands.mail import show_one

    show_one(settings(data_dir=data_dir, database_url=database_url), place(workspace, env), message_id)


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
