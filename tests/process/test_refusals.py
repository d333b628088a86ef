"""A server that cannot start says why in one line, and leaves nothing behind."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from process.program import ticketry

pytestmark = pytest.mark.process


def refused(*words: str) -> str:
    """The one line on standard error of a command that fails."""
    done = ticketry(*words)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program uses."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_taken_port(taken: int, folder: Path, workers: str) -> None:
    line = refused("serve", "--port", str(taken), "--workers", workers, "--data-dir", str(folder / "data"))
    assert line == (
        f"ticketry: cannot listen on 127.0.0.1 port {taken}: "
        "another program uses this port; stop it, or choose another with --port"
    )
    assert not (folder / "data").exists()


def test_address_of_another_machine(folder: Path) -> None:
    line = refused("serve", "--host", "192.0.2.1", "--data-dir", str(folder / "data"))
    assert line.startswith("ticketry: cannot listen on 192.0.2.1 port 8000: ")


def test_folder_that_cannot_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    line = refused("serve", "--port", "0", "--data-dir", str(folder / "file" / "data"))
    assert line.startswith(f"ticketry: cannot use the data folder {folder / 'file' / 'data'}: ")


def test_database_that_is_not_there() -> None:
    line = refused("serve", "--port", "0", "--database-url", "postgresql://me:secret@127.0.0.1:1/none")
    assert line.startswith("ticketry: cannot use the database: ")
    assert "secret" not in line


def test_newer_database(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(
            """INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)
               VALUES ('x', '9999_future', now())"""
        )
    for words in (["serve", "--port", "0"], ["migrate"], ["worker"], ["users", "list"]):
        line = refused(*words, "--database-url", database_url)
        assert "the database is newer than this program, which does not know 9999_future" in line


def test_wrong_setting() -> None:
    assert refused("serve", "--port", "70000").startswith("ticketry: setting port (from option): ")
