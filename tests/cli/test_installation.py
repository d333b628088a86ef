"""Commands on an installation as a whole: migrate, doctor, demo; with and without a database that fits."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner, Result

from ticketry.cli import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={})


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that the database's own user can reach."""
    with tempfile.TemporaryDirectory(prefix="ticketry-cli-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """A database without anything in it."""
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE empty_for_cli")
        yield make_conninfo(server_url, dbname="empty_for_cli")
        conn.execute("DROP DATABASE empty_for_cli WITH (FORCE)")


def test_migrate_then_work_without_a_server(folder: Path) -> None:
    """The embedded database is started and stopped by each command; the first that needs an agency makes it."""
    place = ("--data-dir", str(folder / "data"))
    line = f"ticketry: no Ticketry data in {folder / 'data'}: start `ticketry serve` once, or name another --data-dir\n"
    assert run("keys", "list", *place).stderr == line
    assert not (folder / "data").exists()
    first, again = run("migrate", *place), run("migrate", *place)
    assert "0001_accounts" in first.stdout.splitlines()
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "The database is up to date.\n")
    assert run("keys", "create", "--name", "A", "--scopes", "all", "-q", *place).stdout.startswith("sk_live_")
    assert run("doctor", *place).exit_code == 0
    assert not (folder / "data" / "postgres" / "postmaster.pid").exists()


def test_a_database_that_is_not_set_up(empty_url: str) -> None:
    done = run("users", "list", "--database-url", empty_url)
    assert done.exit_code == 1
    assert done.stderr == "ticketry: the database is not set up for this version: run `ticketry migrate` first\n"
    seen = findings(run("doctor", "--database-url", empty_url), 1)
    assert seen["Migrations"][0] == "WRONG"
    assert run("migrate", "--database-url", empty_url).exit_code == 0
    assert findings(run("doctor", "--database-url", empty_url), 0)["Migrations"][0] == "ok"


def findings(result: Result, code: int) -> dict[str, Any]:
    """What the doctor found."""
    assert result.exit_code == code, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[0] == ["what", "state", "found"]
    return {line[0]: line[1:] for line in lines[1:]}


def test_doctor_on_a_sound_database(database_url: str) -> None:
    seen = findings(run("doctor", "--database-url", database_url), 0)
    assert list(seen) == ["Ticketry", "Database", "Migrations", "Clock", "File store"]
    assert seen["Database"][1].startswith("PostgreSQL ")


def test_doctor_tries_the_file_store(database_url: str, folder: Path) -> None:
    def seen(code: int) -> list[str]:
        words = ("doctor", "--database-url", database_url, "--data-dir", str(folder))
        found: list[str] = findings(run(*words), code)["File store"]
        return found

    assert seen(0) == ["ok", f"{folder / 'files'} (made with the first upload)"]
    (folder / "files").mkdir()
    assert seen(0) == ["ok", f"{folder / 'files'} can be written to"]
    assert list((folder / "files").iterdir()) == []
    (folder / "files").rmdir()
    (folder / "files").write_text("a file where a folder should be")
    state, told = seen(1)
    assert state == "WRONG"
    assert told.startswith(f"{folder / 'files'}: ")


def test_doctor_without_a_database() -> None:
    seen = findings(run("doctor", "--database-url", "postgresql://me:secret@127.0.0.1:1/x"), 1)
    assert seen["Database"][0] == "WRONG"
    assert "secret" not in str(seen)


def test_doctor_finds_a_clock_that_is_off(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ticketry.commands.doctor.time.time", lambda: 1_000_000_000.0)
    seen = findings(run("doctor", "--database-url", database_url), 1)
    assert seen["Clock"][0] == "WRONG"
    assert seen["Clock"][1].endswith("s ahead")


def test_doctor_finds_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ticketry.commands.doctor.LEAST_DISK", 10**18)
    seen = findings(run("doctor", "--data-dir", str(folder / "data")), 1)
    assert seen["Free disk"][0] == "WRONG"
    assert seen["Database"][1].startswith("no Ticketry data in ")


def test_demo(database_url: str) -> None:
    """Every state, months of history in order of time, ratings, breaches and second closes."""
    done = run("demo", "--tickets", "150", "--database-url", database_url)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("sk_live_")
    with psycopg.connect(database_url) as conn:

        def one(query: str) -> Any:
            row = conn.execute(query).fetchone()  # type: ignore[arg-type]
            assert row is not None
            return row[0]

        assert one("SELECT count(*) FROM tickets") == 150
        assert one("SELECT count(DISTINCT status) FROM tickets") == 8
        assert one("SELECT max(created_at) - min(created_at) > '120 days' FROM tickets")
        assert one("SELECT count(*) FROM events WHERE created_at > now()") == 0
        assert one(
            "SELECT bool_and(n.created_at >= e.created_at) FROM events e JOIN events n ON n.position > e.position"
        )
        assert one("SELECT count(*) FROM tickets WHERE reopen_count > 0") > 3
        assert one("SELECT count(DISTINCT customer_satisfaction) FROM resolutions") > 5
        assert one("SELECT count(*) FROM resolutions WHERE NOT resolution_met") > 3
        assert one("SELECT count(*) FROM resolutions WHERE resolution_met") > 50
        assert one("SELECT count(DISTINCT agent_id) FROM resolutions") > 3
        assert one("SELECT count(*) FROM comments WHERE visibility = 'internal'") > 5
        assert one("SELECT count(*) FROM workspaces WHERE name = 'Demo' AND NOT is_home") == 1
        assert one("SELECT array_agg(enabled) FROM mail_settings") == [False]  # nobody invented is mailed


def test_a_small_demo_still_shows_every_state(database_url: str) -> None:
    assert run("demo", "--tickets", "8", "--database-url", database_url).exit_code == 0
    with psycopg.connect(database_url) as conn:
        newest = "SELECT id FROM workspaces WHERE name = 'Demo' ORDER BY created_at DESC, id DESC LIMIT 1"
        states = conn.execute(f"SELECT status FROM tickets WHERE workspace_id = ({newest})").fetchall()  # type: ignore[arg-type]
    assert len({row[0] for row in states}) == 8


@pytest.mark.parametrize(("state", "told"), [("1\n", "docs/operations.md"), ("0\n", "one group for all")])
def test_doctor_tells_of_a_scheduler_that_makes_waits_longer(
    state: str, told: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "autogroup").write_text(state)
    monkeypatch.setattr("ticketry.commands.doctor.AUTOGROUP", folder / "autogroup")
    seen = findings(run("doctor", "--data-dir", str(folder / "data")), 1)
    assert seen["Scheduler"][0] == "ok"
    assert told in seen["Scheduler"][1]
