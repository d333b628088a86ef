"""The published requests client, with only its base address changed."""

from typing import Any

import pytest
import requests
from conftest import House
from kit import complete_ticket, get, listed


class Refused(Exception):
    """What the published client raises: the error object as it came."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.status = status
        self.error = error


class Client:
    """As published: PUT with `json=`, only 200 is success, every other answer is read as JSON."""

    def __init__(self, base: str, api_key: str | None) -> None:
        self.base = base
        self.headers = {"Content-Type": "application/json"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"

    def close_ticket(self, ticket_id: str, resolution_note: str | None = None, **optional: Any) -> dict[str, Any]:
        body = {"resolution_note": resolution_note, **{name: value for name, value in optional.items() if value}}
        return self.put(f"tickets/{ticket_id}/close", body)

    def put(self, path: str, body: Any) -> dict[str, Any]:
        answer = requests.put(f"{self.base}/{path}", headers=self.headers, json=body, timeout=30)
        if answer.status_code == 200:
            data: dict[str, Any] = answer.json()["data"]
            return data
        raise Refused(answer.status_code, answer.json()["error"])


@pytest.fixture
def client(house: House) -> Client:
    return Client(f"{house.url}/v1", house.cast.admin)


def test_it_closes_a_ticket(house: House, client: Client) -> None:
    ticket = house.ticket()
    closed = client.close_ticket(
        ticket["id"],
        "Refund of $99.99 processed successfully...",
        customer_satisfaction=9,
        resolution_time=45,
        root_cause="system_error",
    )
    complete_ticket(closed)
    assert closed["status"] == "closed"
    assert closed["sla"]["response_met"] is True
    assert closed["resolved_at"] == closed["closed_at"]
    assert closed == get(house, ticket)


def test_it_may_send_null_for_the_note(house: House, client: Client) -> None:
    ticket = house.ticket()
    assert client.close_ticket(ticket["number"])["resolution_note"] is None
    assert len(listed(house, ticket, "resolutions")) == 1


def test_it_reads_the_published_conflict(house: House, client: Client) -> None:
    ticket = house.ticket()
    closed = client.close_ticket(ticket["id"])
    with pytest.raises(Refused, match="Ticket is already closed") as refusal:
        client.close_ticket(ticket["id"], "again")
    assert refusal.value.status == 409
    assert refusal.value.error["code"] == "ticket_already_closed"
    assert refusal.value.error["closed_at"] == closed["closed_at"]


def test_it_reads_the_published_not_found(client: Client) -> None:
    with pytest.raises(Refused, match=r"^Ticket not found$") as refusal:
        client.close_ticket("ticket_nobody")
    assert refusal.value.status == 404
    assert refusal.value.error == {"type": "not_found", "message": "Ticket not found", "code": "ticket_not_found"}


def test_it_reads_every_other_refusal_as_json(house: House, client: Client) -> None:
    ticket = house.ticket()
    base = client.base
    seen = {}
    for caller, path, body in (
        (Client(base, None), f"tickets/{ticket['id']}/close", {}),
        (Client(base, "sk_live_nobody"), f"tickets/{ticket['id']}/close", {}),
        (Client(base, house.cast.reader), f"tickets/{ticket['id']}/close", {}),
        (Client(base, house.cast.stranger), f"tickets/{ticket['id']}/close", {}),
        (client, "no/such/path", {}),
        (client, "keys", {}),
        (client, f"tickets/{ticket['id']}/close", {"customer_satisfaction": "9"}),
        (client, f"tickets/{ticket['id']}/close", {"resolution_note": "x" * 5_000_000}),
    ):
        with pytest.raises(Refused) as refusal:
            caller.put(path, body)
        seen[refusal.value.error["code"]] = refusal.value.status
    assert seen == {
        "missing_api_key": 401,
        "invalid_api_key": 401,
        "insufficient_scope": 403,
        "ticket_not_found": 404,
        "path_not_found": 404,
        "method_not_allowed": 405,
        "invalid_parameters": 422,
        "body_too_large": 413,
    }
    assert get(house, ticket) == ticket
