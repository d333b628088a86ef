"""What the tests of mail in say often."""

from typing import Any

import httpx
from conftest import House

from ticketry.mail import threads
from ticketry.mail.store import secret as installation_secret

HEADERS = {"Content-Type": "message/rfc822"}


def post(house: House, raw: bytes, key: str | None = None, **headers: str) -> httpx.Response:
    """The answer to a mail that is handed in."""
    client = house.client(key or house.cast.admin)
    return client.post("/v1/inbound/email", content=raw, headers={**HEADERS, **headers})


def handed_in(house: House, raw: bytes, key: str | None = None) -> dict[str, Any]:
    """What became of a mail."""
    answer = post(house, raw, key)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()["data"]
    return told


def secret(house: House) -> bytes:
    """The installation's secret."""
    return house.run(installation_secret)


def reference(house: House, ticket_id: str, workspace_id: str | None = None) -> str:
    """A signed message id of a mail about a ticket."""
    return threads.message_id(
        secret(house), workspace_id or house.cast.workspace_id, ticket_id, "mail_1", "acme.example"
    )


def comments(house: House, ticket_id: str) -> list[dict[str, Any]]:
    """All that was said on a ticket."""
    answer = house.client(house.cast.admin).get(f"/v1/tickets/{ticket_id}/comments", params={"per_page": 100})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def ticket_of(house: House, ticket_id: str) -> dict[str, Any]:
    """A ticket as it stands."""
    answer = house.client(house.cast.admin).get(f"/v1/tickets/{ticket_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def files_of(house: House, ticket_id: str) -> dict[str, bytes]:
    """The files of a ticket and its comments, by name."""
    client = house.client(house.cast.admin)
    listed = client.get(f"/v1/tickets/{ticket_id}/attachments", params={"per_page": 100})
    assert listed.status_code == 200, listed.text
    return {one["name"]: client.get(f"/v1/attachments/{one['id']}").content for one in listed.json()["data"]}


def counted(house: House) -> tuple[int, int, int]:
    """How many tickets, comments and contacts there are."""
    tables = ("tickets", "comments", "contacts")
    found = [house.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    return found[0], found[1], found[2]
