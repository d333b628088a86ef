"""Closing: the published answer, the published errors, and one winner when many race."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import House


def test_close_records_everything_and_answers_the_ticket(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.agent_id)
    house.clock.advance(minutes=45)
    body = {
        "resolution_note": "Refund of $99.99 processed successfully...",
        "customer_satisfaction": 9,
        "resolution_time": 45,
        "root_cause": "system_error",
    }
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", json=body)
    assert answer.status_code == 200
    closed = answer.json()["data"]
    now = house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert closed["status"] == "closed"
    assert closed["resolved_at"] == closed["closed_at"] == now
    assert {name: closed[name] for name in body} == body
    assert closed["sla"]["response_met"] is True
    assert closed["sla"]["resolution_met"] is True
    assert house.client(house.cast.admin).get(f"/v1/tickets/{ticket['number']}").json()["data"] == closed


def test_a_second_close_is_409_and_changes_nothing(house: House) -> None:
    ticket = house.ticket()
    client = house.client(house.cast.admin)
    first = client.put(f"/v1/tickets/{ticket['id']}/close", json={"resolution_note": None}).json()["data"]
    house.clock.advance(minutes=5)
    second = client.put(f"/v1/tickets/{ticket['id']}/close", json={"resolution_note": "again"})
    assert second.status_code == 409
    assert second.json() == {
        "error": {
            "type": "conflict",
            "message": "Ticket is already closed",
            "code": "ticket_already_closed",
            "closed_at": first["closed_at"],
        }
    }
    assert client.get(f"/v1/tickets/{ticket['id']}").json()["data"] == first


def test_of_32_closers_one_wins(house: House) -> None:
    ticket = house.ticket()
    client = house.client(house.cast.admin)
    with ThreadPoolExecutor(32) as threads:
        closes = [threads.submit(client.put, f"/v1/tickets/{ticket['id']}/close") for _ in range(32)]
    statuses = sorted(close.result().status_code for close in closes)
    assert statuses == [200] + [409] * 31
    resolutions = client.get(f"/v1/tickets/{ticket['id']}/resolutions").json()
    assert resolutions["meta"]["total"] == len(resolutions["data"]) == 1


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null"])
def test_the_body_is_optional(house: House, body: bytes | None) -> None:
    ticket = house.ticket()
    answer = house.client(house.cast.admin).put(
        f"/v1/tickets/{ticket['id']}/close", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    assert answer.json()["data"]["resolution_note"] is None
