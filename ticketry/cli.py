"""The command line: what each command is called, takes and means. What it does stands in `ticketry/commands`.

Imports stand inside the functions here and in `commands/declare*.py`, so that `--help` need not load a server.
"""

from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ticketry import __version__
from ticketry.commands.declare import DatabaseUrl, DataDir, Env, GivenId, InsecureWebhooks, Quiet, Search, Workspace
from ticketry.commands.declare import group as _group
from ticketry.commands.declare import place as _place
from ticketry.commands.declare import settings as _settings
from ticketry.commands.declare_mail import mail_app
from ticketry.commands.declare_sla import sla_app
from ticketry.commands.declare_transfer import export_folder, import_folder
from ticketry.core.errors import OperatorError, TicketryError


class OneLineErrors(TyperGroup):
    """Errors meant for the operator are one line on standard error and exit code 1; others are a fault of ours."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (OperatorError, TicketryError) as error:
            field = f"{error.extras['field']}: " if isinstance(error, TicketryError) and "field" in error.extras else ""
            typer.echo(f"ticketry: {field}{' '.join(str(error).split())}", err=True)
            raise typer.Exit(1) from None


app = _group(
    "Ticketry: self-hosted, API-first support tickets.\n\n"
    "Start with `ticketry serve`: it brings its own PostgreSQL, and prints an API key and the first calls to try. "
    "Settings may also be given as environment variables (`ticketry settings` lists them).",
    cls=OneLineErrors,
)
keys_app = _group("API keys: what your programs show to be let in.")
users_app = _group("Users: the people of your support team.")
contacts_app = _group("Contacts: your customers.")
workspaces_app = _group("Workspaces: the sealed environments of your agency's clients.")
app.add_typer(keys_app, name="keys")
app.add_typer(users_app, name="users")
app.add_typer(contacts_app, name="contacts")
app.add_typer(workspaces_app, name="workspaces")
app.add_typer(sla_app, name="sla")
app.add_typer(mail_app, name="mail")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ticketry {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program as a whole."""


# ---- the server


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [default: 8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="API processes [default: 1].")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Leave background work to `ticketry worker`.")] = False,
    allow_insecure_webhooks: InsecureWebhooks = False,
) -> None:
    """Start the server.

    Brings the database up to date first. The first start makes an agency and an API key, shown once on standard
    error. When it answers, it prints `ready http://…` on standard output. Ctrl-C or SIGTERM lets requests in flight
    finish and stops all that was started; a second Ctrl-C does not wait.
    """
    from ticketry.commands.serve import run

    run(
        _settings(
            host=host, port=port, workers=workers, data_dir=data_dir, database_url=database_url,
            run_worker=False if no_worker else None, allow_insecure_webhooks=allow_insecure_webhooks or None,
        )
    )  # fmt: skip


@app.command()
def worker(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, allow_insecure_webhooks: InsecureWebhooks = False
) -> None:
    """Do background work, and only that.

    Runs beside servers that were started with --no-worker. Ctrl-C or SIGTERM stops it.
    """
    from ticketry.commands.worker import run

    run(
        _settings(data_dir=data_dir, database_url=database_url, allow_insecure_webhooks=allow_insecure_webhooks or None)
    )


@app.command()
def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database up to date.

    `serve` does it too. It does no harm to run this twice, or in two places at once.
    """
    from ticketry.commands.inform import migrations

    migrations(_settings(data_dir=data_dir, database_url=database_url))


@app.command()
def doctor(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Check what a server needs.

    Looks at the database, its version and migrations, the clocks and the disk. Exit code 1 if something is wrong.
    """
    from ticketry.commands.doctor import run

    run(_settings(data_dir=data_dir, database_url=database_url))


@app.command()
def demo(
    tickets: Annotated[int, typer.Option(min=1, max=100_000, help="How many tickets.")] = 200,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a workspace full of sample data.

    It gets agents, customers, and tickets with months of history. The workspace is new and of its own: your other
    data stays untouched.
    """
    from ticketry.commands.demo import run

    run(_settings(data_dir=data_dir, database_url=database_url), tickets)


@app.command("settings")
def show_settings(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List the settings and their values.

    Each with its value now (secrets hidden), where that came from, and what it means.
    """
    from ticketry.commands.inform import settings

    settings({"data_dir": data_dir, "database_url": database_url})


@app.command()
def openapi() -> None:
    """Print the API description (OpenAPI).

    It is OpenAPI 3.1 as JSON. No database is needed."""
    from ticketry.commands.inform import openapi as print_document

    print_document()


app.command("export")(export_folder)
app.command("import")(import_folder)


# ---- keys


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scopes: Annotated[str, typer.Option(help="What it may do: `all`, or for instance tickets:read,tickets:write.")],
    workspace: Workspace = None,
    env: Env = None,
    user: Annotated[str | None, typer.Option(help="Id of the user as whom the key acts.", show_default=False)] = None,
    expires: Annotated[
        str | None, typer.Option(help="Last day (2026-12-31, UTC) or instant (2026-12-31T18:00:00Z).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key alone.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an API key and print it. Only a hash is stored, so it is never shown again.

    Works beside a running server, which accepts the key at once.
    """
    from ticketry.commands.accounts import create_key as create

    settings = _settings(data_dir=data_dir, database_url=database_url)
    create(settings, _place(workspace, env), name, scopes, user, expires, quiet)


@keys_app.command("list")
def list_keys(
    workspace: Workspace = None, env: Env = None, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the keys of a workspace, newest first, without their secrets."""
    from ticketry.commands.accounts import list_keys as show

    show(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env))


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """End a key for good. Every running server refuses it within a second."""
    from ticketry.commands.accounts import revoke_key as revoke

    revoke(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), key_id)


# ---- users, contacts, workspaces


@users_app.command("create")
def create_user(
    name: Annotated[str, typer.Option(help="The person's name.")],
    email: Annotated[str, typer.Option(help="The person's mail address, unique in the workspace.")],
    role: Annotated[
        Literal["admin", "agent"], typer.Option(help="Manages the workspace, or works on tickets.")
    ] = "agent",
    given_id: GivenId = None,
    workspace: Workspace = None,
    env: Env = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a user to a workspace and print the user's id."""
    from ticketry.commands.accounts import create_user as create

    values = {"id": given_id, "name": name, "email": email, "role": role}
    create(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), values, quiet)


@users_app.command("list")
def list_users(
    search: Search = None,
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List the users of a workspace by name."""
    from ticketry.commands.accounts import list_users as show

    show(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), search)


@contacts_app.command("create")
def create_contact(
    name: Annotated[str, typer.Option(help="The customer's name.")],
    email: Annotated[str | None, typer.Option(help="Mail address, unique in the workspace.")] = None,
    phone: Annotated[str | None, typer.Option(help="Telephone number, for instance +14155550123.")] = None,
    company: Annotated[str | None, typer.Option(help="The customer's company.")] = None,
    external_id: Annotated[str | None, typer.Option(help="The customer's id in a system of yours.")] = None,
    tags: Annotated[str | None, typer.Option(help="Tags, separated by commas.")] = None,
    given_id: GivenId = None,
    workspace: Workspace = None,
    env: Env = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a customer to a workspace and print the contact's id."""
    from ticketry.commands.contacts import create
    from ticketry.commands.show import split

    values = {
        "id": given_id, "name": name, "email": email, "phone": phone, "company": company, "external_id": external_id,
        "tags": split(tags),
    }  # fmt: skip
    create(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), values, quiet)


@contacts_app.command("list")
def list_contacts(
    search: Search = None,
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List the customers of a workspace by name."""
    from ticketry.commands.contacts import list_all

    list_all(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), search)


@contacts_app.command("erase")
def erase_contact(
    contact_id: Annotated[str, typer.Argument(metavar="ID", help="The contact's id, as `contacts list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone: say that you mean it.")] = False,
    workspace: Workspace = None,
    env: Env = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Erase a person for good: name, addresses, words and files. This cannot be undone.

    Figures and ids stay. An erasure that is interrupted is ended by the server, or by the same command again.
    """
    from ticketry.commands.contacts import erase

    erase(_settings(data_dir=data_dir, database_url=database_url), _place(workspace, env), contact_id, yes)


@workspaces_app.command("create")
def create_workspace(
    name: Annotated[str, typer.Option(help="The client's name.")],
    env: Annotated[Literal["live", "test"], typer.Option(help="For real tickets, or for trying things out.")] = "live",
    tier: Annotated[
        Literal["free", "professional", "business", "enterprise"],
        typer.Option(help="How often its keys may call; enterprise is unlimited."),
    ] = "enterprise",
    quiet: Quiet = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a workspace for a client and print its id. Nothing in it can be seen from another one."""
    from ticketry.commands.accounts import create_workspace as create

    values = {"name": name, "environment": env, "tier": tier}
    create(_settings(data_dir=data_dir, database_url=database_url), values, quiet)


@workspaces_app.command("list")
def list_workspaces(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List the agency's workspaces, oldest first."""
    from ticketry.commands.accounts import list_workspaces as show

    show(_settings(data_dir=data_dir, database_url=database_url))


def main() -> None:
    """The console script `ticketry`."""
    app(prog_name="ticketry")
