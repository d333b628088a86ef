"""`ticketry serve`: from an empty machine to `ready`, and back to nothing running."""

import shlex
import shutil
import socket
import sys
from pathlib import Path

import typer

from ticketry.accounts.keys import service as keys
from ticketry.accounts.keys.models import KeyIn, NewKey
from ticketry.accounts.keys.scopes import ALL_SCOPES
from ticketry.accounts.workspaces import service as workspaces
from ticketry.commands import show
from ticketry.commands.database import run_on
from ticketry.commands.logs import configure_logging
from ticketry.commands.places import AGENCY_NAME
from ticketry.commands.sockets import address_of, bind, listen
from ticketry.db.migrate import migrate
from ticketry.db.pool import Tx
from ticketry.serving import Crew, Stop, database_of, serve_here
from ticketry.settings import Settings

FIRST_TICKET = '{"subject": "Refund not received", "description": "I was charged twice for order 1042."}'
FIRST_CLOSE = (
    '{"resolution_note": "Refund processed.", "customer_satisfaction": 9, "resolution_time": 45, '
    '"root_cause": "system_error"}'
)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C. OperatorError when it cannot start."""
    configure_logging(settings.log_level)
    with Stop().listening() as stop:
        sockets = bind(settings.host, settings.port, settings.workers)
        address = address_of(settings.host, sockets[0])
        with database_of(settings) as url:
            migrate(url)
            _welcome(settings, run_on(url, _first_key), address)
            if not stop.asked:
                _serve(settings.model_copy(update={"database_url": url}), sockets, stop, address)


async def _first_key(tx: Tx) -> NewKey | None:
    """On the first start of all, the agency's workspaces and a key that may do everything; else None."""
    founded = await workspaces.found(tx, AGENCY_NAME)
    if founded is None:
        return None
    body = KeyIn(name="First key", scopes=list(ALL_SCOPES))  # type: ignore[arg-type]
    return await keys.create(tx, founded[0].id, body, frozenset(ALL_SCOPES))


def _serve(settings: Settings, sockets: list[list[socket.socket]], stop: Stop, address: str) -> None:
    def ready() -> None:
        typer.echo(f"ready {address}")

    if settings.workers > 1:
        Crew(settings, sockets, ready).run(stop)
        return
    listen(sockets[0], settings)
    serve_here(settings, sockets[0], stop, ready)


def _welcome(settings: Settings, first: NewKey | None, address: str) -> None:
    """What a newcomer needs, told before the server answers: a key that was made must be seen, whatever follows."""
    if first is None:
        show.note(f"Another API key: {_key_command(settings)}")
        return
    assert first.key is not None
    show.note(
        f"""
Welcome to Ticketry. This first start made an agency with a live and a test workspace, and an API key
for the live one. The key is shown only this once:

  {first.key}

Open a ticket, then close it:

  {_curl("POST", f"{address}/v1/tickets", first.key, FIRST_TICKET)}
  {_curl("PUT", f"{address}/v1/tickets/TICK-1/close", first.key, FIRST_CLOSE)}

Documentation: {address}/docs
Another key:   {_key_command(settings)}
"""
    )


def _curl(method: str, url: str, key: str, body: str) -> str:
    """One line that can be pasted into a shell as it is."""
    headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    return f"curl -X {method} {url} {headers} -d '{body}'"


def _key_command(settings: Settings) -> str:
    """How to make a key in this installation."""
    command = f'{_program()} keys create --name "My program" --scopes all'
    if settings.database_url is not None:
        return f"{command}   (with the same database URL)"
    if settings.data_dir == Path(Settings.model_fields["data_dir"].default):
        return command
    return f"{command} --data-dir {shlex.quote(str(settings.data_dir))}"


def _program() -> str:
    """How this program was called, so that a hint works as it stands, also where it is not on the PATH."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m ticketry"
    if shutil.which("ticketry") == str(called.absolute()):
        return "ticketry"
    return shlex.quote(sys.argv[0])
