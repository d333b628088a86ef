"""Moving workspaces from folder to folder, and everything that the API says of one."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import routes
from conftest import House, MovedClock, _found, run_with, serve
from typer.testing import CliRunner, Result

from ticketry.accounts.keys.scopes import ALL_SCOPES, HOME_SCOPES
from ticketry.cli import app

UNLIKE = {
    "/v1/keys", "/v1/keys/{key_id}", "/v1/tickets/export", "/v1/inbound/emails", "/v1/inbound/emails/{mail_id}",
    "/v1/inbound/emails/{mail_id}/raw", "/v1/mail/messages", "/v1/mail/messages/{message_id}", "/v1/webhooks",
    "/v1/webhooks/{webhook_id}", "/v1/webhooks/{webhook_id}/deliveries", "/v1/webhooks/deliveries",
    "/v1/webhooks/deliveries/{delivery_id}",
}  # fmt: skip
"""GET calls whose answers are not compared: keys, mails and webhooks stay where they are, the export has tests of its
own, and what an agency's home workspace is told of others is no part of one."""


@contextmanager
def furnished(database_url: str, files: Path) -> Iterator[House]:
    """A house whose files lie in a folder that the test knows."""
    clock = MovedClock()
    cast = run_with(database_url, _found)
    for url in serve(database_url, clock, files_dir=files):
        house = House(url, database_url, clock, cast)
        yield house
        house.close()


def run(house: House, files: Path, *words: str | Path) -> Result:
    """Runs a command on the house's database and files."""
    given = [*map(str, words), "--database-url", house.database_url]
    return CliRunner().invoke(app, given, env={"TICKETRY_FILES_DIR": str(files)})


def export(house: House, files: Path, workspace: str, folder: Path) -> None:
    """Exports a workspace by the command."""
    result = run(house, files, "export", folder, "--workspace", workspace, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == ""


def bring(house: House, files: Path, folder: Path, name: str) -> str:
    """Imports a folder into a new workspace by the command; the workspace's id."""
    result = run(house, files, "import", folder, "--new", name, "--quiet")
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def key_of(house: House, workspace: str) -> str:
    """A key with all that a client may have."""
    body = {"name": "all", "scopes": sorted(set(ALL_SCOPES) - HOME_SCOPES)}
    answer = house.client(house.cast.admin).post(f"/v1/workspaces/{workspace}/keys", json=body)
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["data"]["key"]
    return secret


def pages(client: httpx.Client, path: str, **asked: Any) -> list[Any]:
    """All items of a list."""
    found: list[Any] = []
    page = 1
    while True:
        answer = client.get(path, params={**asked, "per_page": 100, "page": page})
        assert answer.status_code == 200, (path, answer.text)
        body = answer.json()
        assert body["meta"]["page"] == page
        found += body["data"]
        if page >= body["meta"]["total_pages"]:
            assert len(found) == body["meta"]["total"]
            return found
        page += 1


IDS = {"ticket_id": "/v1/tickets", "contact_id": "/v1/contacts", "user_id": "/v1/users",
       "calendar_id": "/v1/sla/calendars", "policy_id": "/v1/sla/policies"}  # fmt: skip
"""Where the ids of a path's place are listed."""


def reads() -> list[str]:
    """The paths of all GET calls that a client's key may make: a new route is compared by itself."""
    return sorted({call.path for call in routes.calls() if call.method == "GET"} - UNLIKE)


def ids_of(client: httpx.Client, attachments: list[str]) -> dict[str, list[str]]:
    known = {name: [item["id"] for item in pages(client, path)] for name, path in IDS.items()}
    return {**known, "attachment_id": attachments, "kind": ["received", "replied"]}


def everything(house: House, key: str) -> dict[str, Any]:
    """Every answer about a workspace by its path: bodies, and what the headers say of their objects."""
    client = house.client(key)
    tickets = [item["id"] for item in pages(client, "/v1/tickets")]
    files = [item["id"] for ticket in tickets for item in pages(client, f"/v1/tickets/{ticket}/attachments")]
    ids = ids_of(client, files)
    said: dict[str, Any] = {}
    for path in reads():
        places = re.findall(r"\{(\w+)\}", path)
        if not set(places) <= ids.keys() or len(places) > 1:
            assert "workspace" in path, f"tests/transfer/moving.py does not know how to ask for {path}"
            continue
        for place in ids[places[0]] if places else [None]:
            asked = path.replace(f"{{{places[0]}}}", place) if place else path
            answer = client.get(asked)
            if answer.status_code == 403:
                continue
            assert answer.status_code == 200, (asked, answer.text)
            body = answer.json() if answer.headers["content-type"] == "application/json" else answer.content
            if isinstance(body, dict) and "total_pages" in body.get("meta", {}):
                body = pages(client, asked)
            said[asked] = (body, answer.headers.get("etag"), answer.headers.get("content-disposition"))
    for asked in ({"search": "apple"}, {"search": "ppl"}, {"tags": "a"}, {"sla_breach": "true"}, {"status": "closed"},
                  {"sort_by": "updated_at"}, {"assigned_to": "none"}, {"search": "TICK-1"}):  # fmt: skip
        said[f"tickets {asked}"] = pages(client, "/v1/tickets", **asked)
    said["export"] = client.get("/v1/tickets/export").text
    return said


def same(one: dict[str, Any], other: dict[str, Any], differing: dict[str, str]) -> None:
    """Every answer is equal, but that each text in `differing` stands for another."""
    assert one.keys() == other.keys()
    for path, body in one.items():
        text = repr(body)
        for mine, theirs in differing.items():
            text = text.replace(mine, theirs)
        assert text == repr(other[path]), path


def lines(folder: Path, table: str) -> list[Any]:
    """The rows in a file of a folder."""
    return [json.loads(line) for line in (folder / f"{table}.ndjson").read_bytes().splitlines()]
