"""A newcomer finds out what there is, without a database and without waiting."""

import json
import re
import subprocess
import sys
import time

import pytest
import typer
from process.program import ticketry

import ticketry as package
from ticketry.cli import app

COMMANDS = [
    "serve", "worker", "migrate", "doctor", "demo", "settings", "openapi", "export", "import",
    "keys create", "keys list", "keys revoke",
    "users create", "users list",
    "contacts create", "contacts list", "contacts erase",
    "workspaces create", "workspaces list",
    "sla replay", "sla calendars create", "sla calendars list", "sla policies list",
    "mail list", "mail show", "mail receive",
]  # fmt: skip


def commands(group: typer.Typer) -> set[str]:
    """The names of all commands that are declared."""
    own = {command.name or command.callback.__name__ for command in group.registered_commands if command.callback}
    return own | {
        f"{inner.name} {name}"
        for inner in group.registered_groups
        if inner.typer_instance
        for name in commands(inner.typer_instance)
    }


def test_the_commands_are_these() -> None:
    assert commands(app) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """Usage, a sentence, and every option with its meaning."""
    done = ticketry(*name.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: ticketry {name} ")
    assert re.search(r"\n\n  [A-Z].*\.", done.stdout)
    options = re.findall(r"^  (-.*?)(?:\s{2,}(\S.*))?$", done.stdout, re.M)
    assert options
    assert all(meaning or "--" in option for option, meaning in options)


def test_help_is_quick() -> None:
    """No server, no database library is loaded for it."""
    code = "import sys, ticketry.cli; print(*sorted(m for m in sys.modules if m in {'fastapi', 'psycopg', 'pydantic'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    durations = []
    for _ in range(3):
        started = time.monotonic()
        assert "Commands:" in ticketry("--help").stdout
        durations.append(time.monotonic() - started)
    assert min(durations) < 0.5


def test_version() -> None:
    assert ticketry("--version").stdout == f"ticketry {package.__version__}\n"


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "ticketry", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"ticketry {package.__version__}\n"


def test_openapi_needs_no_database() -> None:
    done = ticketry("openapi")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["openapi"].startswith("3.1")
    assert "/v1/tickets/{ticket_id}/close" in document["paths"]


def test_unknown_command() -> None:
    done = ticketry("serv")
    assert done.returncode == 2
    assert "No such command 'serv'" in done.stderr
