"""`ticketry contacts erase`: by the same use case as the call."""

from pathlib import Path

import pytest
from conftest import House
from erasure.person import call, left_of, put_file
from typer.testing import CliRunner, Result

from ticketry.cli import app

MARK = "ploppwurz"


@pytest.fixture
def person(house: House, files: Path) -> str:
    """A customer with a ticket and a file."""
    made: str = call(house, "POST", "/v1/contacts", {"name": f"Ida {MARK}", "email": f"{MARK}@example.com"})["id"]
    ticket = house.ticket(subject=MARK, contact_id=made)["id"]
    put_file(house, files, f"{MARK}.txt", MARK.encode(), made, ticket)
    return made


def run(house: House, *words: str, **env: str) -> Result:
    """The command on the house's database."""
    return CliRunner().invoke(app, ["contacts", "erase", *words, "--database-url", house.database_url], env=env)


def test_it_asks_to_be_meant(house: House, files: Path, person: str) -> None:
    done = run(house, person)
    assert done.exit_code == 1
    assert done.stderr == f"ticketry: erasing {person} cannot be undone: repeat the command with --yes\n"
    assert left_of(house, files, (MARK,)) == [MARK]
    assert run(house, person, "--yes", TICKETRY_FILES_DIR=str(files)).exit_code == 0


def test_it_erases(house: House, files: Path, person: str) -> None:
    done = run(house, person, "--yes", TICKETRY_FILES_DIR=str(files))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{person}\n"
    assert done.stderr.startswith("Erased: 1 tickets, 0 comments, 0 resolutions, 1 events, ")
    assert left_of(house, files, (MARK,)) == []
    again = run(house, person, "--yes", TICKETRY_FILES_DIR=str(files))
    assert again.stderr == done.stderr
    (event,) = house.sql(
        "SELECT actor_name FROM events WHERE data ->> 'contact_id' = %s AND ticket_id IS NULL", (person,)
    )
    assert event == ("Command line",)


def test_without_the_file_store_the_server_ends_it(house: House, files: Path, person: str) -> None:
    """A command that cannot reach the files says so; nothing counts as erased whose bytes are there."""
    done = run(house, person, "--yes")
    assert done.exit_code == 0, done.output
    assert "the worker goes on with it" in done.stderr
    assert left_of(house, files, (MARK,)) == [MARK]
    assert house.sql("SELECT finished_at FROM erasures WHERE contact_id = %s", (person,)) == [(None,)]
    assert call(house, "DELETE", f"/v1/contacts/{person}?confirm=true")["status"] == "done"
    assert left_of(house, files, (MARK,)) == []


def test_nobody_there(house: House) -> None:
    done = run(house, "contact_nobody", "--yes")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "ticketry: Contact not found\n")
