"""Keys, users, contacts and workspaces from the command line, on a real database."""

import re
from typing import Any

import pytest
from conftest import House
from typer.testing import CliRunner, Result

from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.cli import app


@pytest.fixture
def cli(house: House) -> Any:
    """Runs a command on the house's database."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--database-url", house.database_url], env={})

    return run


def rows(result: Result) -> list[dict[str, str]]:
    """What a list command prints, as programs read it."""
    assert result.exit_code == 0, result.output
    head, *lines = (line.split("\t") for line in result.stdout.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def refusal(result: Result) -> str:
    """The one line of a command that fails."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("ticketry: ")
    return result.stderr[len("ticketry: ") :].strip()


def made(result: Result) -> str:
    """What a create command prints for programs: the id, or the key."""
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return result.stdout.strip()


def test_a_key_works_until_it_is_revoked(house: House, cli: Any) -> None:
    result = cli("keys", "create", "--name", "Robot", "--scopes", "tickets:read, tickets:write")
    key, key_id = made(result), result.stderr.split()[1]
    assert house.client(key).post("/v1/tickets", json={"subject": "a", "description": "b"}).status_code == 201
    assert house.client(key).get("/v1/contacts").status_code == 403
    shown = next(row for row in rows(cli("keys", "list")) if row["id"] == key_id)
    assert shown["name"] == "Robot"
    assert shown["scopes"] == "tickets:read, tickets:write"
    assert key not in cli("keys", "list").stdout
    assert cli("keys", "revoke", key_id).exit_code == 0
    assert next(row for row in rows(cli("keys", "list")) if row["id"] == key_id)["status"] == "revoked"


def test_quiet_prints_the_key_alone(cli: Any) -> None:
    result = cli("keys", "create", "--name", "Q", "--scopes", "all", "--quiet")
    assert re.fullmatch(r"sk_live_\w{43}\n", result.stdout)
    assert result.stderr == ""


def test_all_scopes_are_those_that_the_workspace_may_have(house: House, cli: Any) -> None:
    for place, scopes in (
        ((), set(ALL_SCOPES)),
        (("--env", "test"), set(ALL_SCOPES) - HOME_SCOPES),
        (("--workspace", "Globex"), set(ALL_SCOPES) - HOME_SCOPES),
        (("--workspace", house.cast.stranger_workspace_id, "--env", "live"), set(ALL_SCOPES) - HOME_SCOPES),
    ):
        result = cli("keys", "create", "--name", "All", "--scopes", "all", *place)
        assert result.stdout.startswith("sk_test_" if "test" in place else "sk_live_")
        newest = rows(cli("keys", "list", *place))
        key_id = result.stderr.split()[1]
        assert set(next(row for row in newest if row["id"] == key_id)["scopes"].split(", ")) == scopes


def test_a_key_may_act_as_a_user_and_expire(house: House, cli: Any) -> None:
    words = ("keys", "create", "--name", "Jane", "--scopes", "tickets:read", "--user", "user_jane_smith")
    for given, until in (("2099-12-31", "2100-01-01 00:00:00Z"), ("2099-01-01T05:00:00+05:00", "2099-01-01 00:00:00Z")):
        result = cli(*words, "--expires", given)
        shown = next(row for row in rows(cli("keys", "list")) if row["id"] == result.stderr.split()[1])
        assert (shown["user"], shown["expires"]) == ("user_jane_smith", until)


def test_a_key_is_revoked_wherever_it_is(house: House, cli: Any) -> None:
    result = cli("keys", "create", "--name", "X", "--scopes", "all", "--workspace", "Globex")
    key, key_id = made(result), result.stderr.split()[1]
    assert refusal(cli("keys", "revoke", key_id, "--env", "test")).startswith("ID: no key has the id")
    assert cli("keys", "revoke", key_id).exit_code == 0
    assert house.client(key).get("/v1/tickets/TICK-1").json()["error"]["code"] == "revoked_api_key"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--scopes", "tickets:fly"), "scopes: there is no scope tickets:fly; there are all, tickets:read, "),
        (("--scopes", ""), "scopes: "),
        (("--scopes", "workspaces:read", "--env", "test"), "scopes: workspaces:read is only for keys of"),
        (("--scopes", "all", "--user", "user_nobody"), "user_id: no user of this workspace has this id"),
        (("--scopes", "all", "--expires", "soon"), "expires: must be a day"),
        (("--scopes", "all", "--expires", "2026-01-01T00:00:00"), "expires: must be a day"),
        (("--scopes", "all", "--expires", "2001-01-01"), "expires: is in the past"),
        (("--scopes", "all", "--workspace", "Nowhere"), 'workspace: no workspace has the id or name "Nowhere"'),
        (("--scopes", "all", "--workspace", "Globex", "--env", "test"), 'env: "Globex" is a live workspace'),
    ],
)
def test_a_key_that_cannot_be_made(cli: Any, words: tuple[str, ...], line: str) -> None:
    assert refusal(cli("keys", "create", "--name", "N", *words)).startswith(line)


def test_an_empty_name_is_named(cli: Any) -> None:
    assert refusal(cli("keys", "create", "--name", "", "--scopes", "all")).startswith("name: ")


def test_users(house: House, cli: Any) -> None:
    user_id = made(cli("users", "create", "--name", "Kim Lee", "--email", "kim@example.com", "--role", "admin"))
    assert [row["role"] for row in rows(cli("users", "list", "--search", "kim@")) if row["id"] == user_id] == ["admin"]
    assert house.client(house.cast.admin).get(f"/v1/users/{user_id}").json()["data"]["name"] == "Kim Lee"
    again = cli("users", "create", "--name", "Kim", "--email", "KIM@example.com")
    assert refusal(again) == "email: A user with this email exists already"
    assert refusal(cli("users", "create", "--name", "Kim", "--email", "kim")).startswith("email: ")
    kept = cli("users", "create", "--name", "I", "--email", "i@example.com", "--id", "user_import_1", "--quiet")
    assert (kept.stdout, kept.stderr) == ("user_import_1\n", "")


def test_contacts(house: House, cli: Any) -> None:
    words = ("--email", "ada@example.com", "--phone", "+14155550123", "--company", "Hooli", "--external-id", "7")
    contact_id = made(cli("contacts", "create", "--name", "Ada", *words, "--tags", "vip, new"))
    found = house.client(house.cast.admin).get(f"/v1/contacts/{contact_id}").json()["data"]
    assert (found["company"], found["external_id"], found["tags"]) == ("Hooli", "7", ["vip", "new"])
    assert contact_id in {row["id"] for row in rows(cli("contacts", "list"))}
    assert refusal(cli("contacts", "create", "--name", "Ada", "--phone", "123")).startswith("phone: ")
    assert rows(cli("contacts", "list", "--env", "test")) == []


def test_workspaces(cli: Any) -> None:
    workspace_id = made(cli("workspaces", "create", "--name", "Globex", "--env", "test", "--tier", "free"))
    shown = next(row for row in rows(cli("workspaces", "list")) if row["id"] == workspace_id)
    assert (shown["name"], shown["environment"], shown["is home"], shown["tier"]) == ("Globex", "test", "no", "free")
    assert made(cli("keys", "create", "--name", "t", "--scopes", "all", "--workspace", "Globex", "--env", "test"))
    assert refusal(cli("users", "list", "--workspace", "Globex")).startswith("workspace: several workspaces are called")


def test_lists_have_no_hidden_cap(house: House, cli: Any) -> None:
    body = [{"name": f"Contact {n}"} for n in range(120)]
    for one in body:
        assert house.client(house.cast.admin).post("/v1/contacts", json=one).status_code == 201
    assert len(rows(cli("contacts", "list", "--search", "Contact "))) == 120
