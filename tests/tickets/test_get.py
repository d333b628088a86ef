"""Reading a ticket: by id or number, complete, and only one's own."""

import pytest
from conftest import House
from kit import close, complete_ticket, forbidden, mint, missing_ticket, wrong_fields


def test_id_and_number_name_the_same_ticket(house: House) -> None:
    ticket = house.ticket()
    client = house.client(house.cast.reader)
    by_id = client.get(f"/v1/tickets/{ticket['id']}")
    by_number = client.get(f"/v1/tickets/{ticket['number']}")
    assert by_id.status_code == by_number.status_code == 200
    assert by_id.json() == by_number.json() == {"data": ticket}
    assert by_id.headers["etag"] == by_number.headers["etag"]
    complete_ticket(by_id.json()["data"])


def test_a_closed_ticket_is_read_as_it_was_closed(house: House) -> None:
    ticket = close(house, house.ticket(), resolution_note="**done**", customer_satisfaction=10)
    house.clock.advance(days=400)
    assert house.client(house.cast.reader).get(f"/v1/tickets/{ticket['id']}").json()["data"] == ticket


def test_reading_needs_the_read_scope(house: House) -> None:
    ticket = house.ticket()
    writer = mint(house, "tickets:write", "events:read", "contacts:read")
    forbidden(house.client(writer).get(f"/v1/tickets/{ticket['id']}"), "tickets:read")


def test_a_strangers_ticket_is_not_found(house: House) -> None:
    for _ in range(3):
        ticket = house.ticket()
    for key in (house.cast.stranger, house.cast.test_key):
        missing_ticket(house.client(key).get(f"/v1/tickets/{ticket['id']}"))
        missing_ticket(house.client(key).get(f"/v1/tickets/{ticket['number']}"))


def test_a_number_names_a_ticket_of_ones_own_workspace_only(house: House) -> None:
    body = {"subject": "theirs", "description": "theirs"}
    theirs = house.client(house.cast.stranger).post("/v1/tickets", json=body).json()["data"]
    ours = house.ticket()
    house.sql("UPDATE tickets SET number = 77 WHERE id = ANY(%s)", ([theirs["id"], ours["id"]],))
    for key, ticket in ((house.cast.stranger, theirs), (house.cast.admin, ours)):
        assert house.client(key).get("/v1/tickets/TICK-77").json()["data"]["id"] == ticket["id"]


@pytest.mark.parametrize(
    "reference",
    [
        "ticket_nobody", "x", "TICK-", "TICK-0", "TICK--1", "TICK-1.0", "TICK-%31x", "TICK-%C2%B2", "TICK-%D9%A1",
        "TICK-999999999999", "TICK-9223372036854775807", "TICK-9223372036854775808", "TICK-" + "9" * 40, "x" * 64,
        "%F0%9F%98%80", "%ff", "%ED%A0%80", "%27%20OR%201=1--", "%25", "*", "null",
    ],
)  # fmt: skip
def test_a_reference_that_names_nothing_is_not_found(house: House, reference: str) -> None:
    missing_ticket(house.client(house.cast.reader).get(f"/v1/tickets/{reference}"))


@pytest.mark.parametrize("reference", ["x" * 65, "x" * 5000, "%00", "ticket_%00abc", "TICK-1%00"])
def test_a_reference_that_can_name_nothing_is_refused_or_not_found(house: House, reference: str) -> None:
    for path in ("", "/resolutions", "/events"):
        answer = house.client(house.cast.reader).get(f"/v1/tickets/{reference}{path}")
        if answer.status_code == 404:
            missing_ticket(answer)
        else:
            assert wrong_fields(answer) == {"ticket_id"}
    for path in ("close", "reopen"):
        answer = house.client(house.cast.admin).put(f"/v1/tickets/{reference}/{path}")
        assert answer.status_code in {404, 422}, answer.text


def test_missed_moments_are_seen_as_time_passes(house: House) -> None:
    ticket = house.ticket(priority=1)
    client = house.client(house.cast.reader)

    def sla() -> dict[str, object]:
        return client.get(f"/v1/tickets/{ticket['id']}").json()["data"]["sla"]

    house.clock.advance(minutes=59)
    assert (sla()["response_met"], sla()["resolution_met"], sla()["breached"]) == (None, None, False)
    house.clock.advance(minutes=2)
    assert (sla()["response_met"], sla()["resolution_met"], sla()["breached"]) == (False, None, True)
    house.clock.advance(hours=8)
    assert (sla()["response_met"], sla()["resolution_met"], sla()["breached"]) == (False, False, True)
    assert sla()["response_due_at"] == ticket["sla"]["response_due_at"]
    assert sla()["resolution_due_at"] == ticket["sla"]["resolution_due_at"]
