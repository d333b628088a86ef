"""Reopening: the ticket begins anew, what its close recorded stays, and the clock goes on from where it stood."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from conftest import House
from kit import (
    BODIES_THAT_ARE_NO_JSON,
    BODIES_THAT_ARE_NO_OBJECT,
    BODY_LIMIT,
    JSON,
    close,
    complete_ticket,
    forbidden,
    force_status,
    get,
    in_chunks,
    listed,
    missing_ticket,
    problem,
    raw,
    reopen,
    stored,
    strings_between,
    wrong_fields,
)

from ticketry.tickets.models import Status

RECORD = {
    "resolution_note": "Refund sent.",
    "customer_satisfaction": 4,
    "resolution_time": 30,
    "root_cause": "system_error",
}


def put(house: House, ticket: dict[str, Any], body: Any) -> httpx.Response:
    return house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/reopen", content=raw(body), headers=JSON)


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_reopening_clears_the_ticket_and_keeps_the_resolution(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.agent_id)
    close(house, ticket, **RECORD)
    before = listed(house, ticket, "resolutions")
    house.clock.advance(days=2)
    answer = put(house, ticket, {"reason": "It came back."})
    assert answer.status_code == 200
    reopened = answer.json()["data"]
    complete_ticket(reopened)
    assert (reopened["status"], reopened["reopen_count"]) == ("reopened", 1)
    for name in (*RECORD, "satisfaction_source", "resolved_at", "closed_at"):
        assert reopened[name] is None, name
    assert reopened["updated_at"] == iso(house.clock())
    assert reopened["assigned_to"] == house.cast.agent_id
    assert get(house, ticket) == reopened
    assert listed(house, ticket, "resolutions") == before
    assert {name: before[0][name] for name in RECORD} == RECORD


def test_the_reason_is_in_the_history(house: House) -> None:
    ticket = house.ticket()
    close(house, ticket, **RECORD)
    reopened = reopen(house, ticket, reason="It came back.")
    event = listed(house, ticket, "events")[-1]
    assert event["event_type"] == "ticket.reopened"
    assert event["data"]["reason"] == "It came back."
    assert event["data"]["ticket"] == reopened
    changes = event["data"]["changes"]
    assert changes["status"] == {"from": "closed", "to": "reopened"}
    assert changes["customer_satisfaction"] == {"from": 4, "to": None}
    assert changes["reopen_count"] == {"from": 0, "to": 1}


def test_a_resolved_ticket_can_be_reopened(house: House) -> None:
    ticket = house.ticket()
    force_status(house, ticket, "resolved")
    house.clock.advance(hours=1)
    reopened = reopen(house, ticket)
    assert (reopened["status"], reopened["resolved_at"], reopened["reopen_count"]) == ("reopened", None, 1)
    assert listed(house, ticket, "resolutions") == []


def test_time_spent_closed_does_not_count(house: House) -> None:
    ticket = house.ticket()
    house.clock.advance(hours=10)
    closed = close(house, ticket)
    house.clock.advance(hours=100)
    sla = reopen(house, ticket)["sla"]
    assert sla["resolution_due_at"] == iso(house.clock() + timedelta(hours=62))
    assert (sla["resolution_met"], sla["paused"], sla["breached"]) == (None, False, False)
    assert sla["response_met"] is closed["sla"]["response_met"] is True
    house.clock.advance(hours=62)
    assert close(house, ticket)["sla"]["resolution_met"] is True


def test_a_response_that_was_missed_stays_missed(house: House) -> None:
    ticket = house.ticket(priority=1)
    house.clock.advance(hours=2)
    assert close(house, ticket)["sla"]["response_met"] is False
    assert reopen(house, ticket)["sla"]["response_met"] is False
    assert close(house, ticket)["sla"]["response_met"] is False


def test_reopening_again_and_again_counts(house: House) -> None:
    ticket = house.ticket()
    for count in range(1, 4):
        close(house, ticket)
        assert reopen(house, ticket)["reopen_count"] == count
    assert len(listed(house, ticket, "resolutions")) == 3


@pytest.mark.parametrize(
    "status", ["new", "open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "reopened"]
)
def test_what_is_not_closed_cannot_be_reopened(house: House, status: Status) -> None:
    ticket = house.ticket()
    force_status(house, ticket, status)
    before = stored(house)
    problem(put(house, ticket, {}), 409, "conflict", "ticket_not_closed")
    assert stored(house) == before


def test_of_16_who_reopen_one_wins(house: House) -> None:
    ticket = house.ticket()
    close(house, ticket)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: put(house, ticket, {}).status_code, range(16)))
    assert sorted(answers) == [200] + [409] * 15
    assert get(house, ticket)["reopen_count"] == 1


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null", b'{"reason": null}'])
def test_the_body_is_optional(house: House, body: bytes | None) -> None:
    ticket = house.ticket()
    close(house, ticket)
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/reopen", content=body, headers=JSON)
    assert answer.status_code == 200, answer.text
    assert listed(house, ticket, "events")[-1]["data"].get("reason") is None


def test_reopening_needs_the_write_scope(house: House) -> None:
    ticket = house.ticket()
    closed = close(house, ticket)
    forbidden(house.client(house.cast.reader).put(f"/v1/tickets/{ticket['id']}/reopen"), "tickets:write")
    assert get(house, ticket) == closed


def test_a_strangers_ticket_is_not_found_and_stays_closed(house: House) -> None:
    for _ in range(3):
        ticket = house.ticket()
    closed = close(house, ticket)
    for key in (house.cast.stranger, house.cast.test_key):
        for reference in (ticket["id"], ticket["number"], "ticket_nobody"):
            missing_ticket(house.client(key).put(f"/v1/tickets/{reference}/reopen", json={}))
    assert get(house, ticket) == closed


def test_the_reason_has_1_to_5000_characters(house: House) -> None:
    good, bad = strings_between(1, 5_000)
    ticket = house.ticket()
    for reason in good:
        close(house, ticket)
        assert put(house, ticket, {"reason": reason}).status_code == 200
        assert listed(house, ticket, "events")[-1]["data"]["reason"] == reason
    closed = close(house, ticket)
    for reason in bad:
        assert wrong_fields(put(house, ticket, {"reason": reason})) == {"reason"}, reason
    assert get(house, ticket) == closed


def test_an_unknown_field_is_refused_beside_a_wrong_one(house: House) -> None:
    ticket = house.ticket()
    closed = close(house, ticket)
    assert wrong_fields(put(house, ticket, {"resolution_note": "x", "reason": 1})) == {"resolution_note", "reason"}
    assert get(house, ticket) == closed


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_JSON)
def test_what_is_no_json_is_400(house: House, body: bytes) -> None:
    answer = house.client(house.cast.admin).put("/v1/tickets/x/reopen", content=body, headers=JSON)
    problem(answer, 400, "invalid_request", "malformed_json")


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_OBJECT)
def test_what_is_no_object_is_422(house: House, body: bytes) -> None:
    answer = house.client(house.cast.admin).put("/v1/tickets/x/reopen", content=body, headers=JSON)
    assert wrong_fields(answer) == {"body"}


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_an_oversized_body_is_413(house: House, announced: bool) -> None:
    content = b'{"reason": "' + b"x" * BODY_LIMIT + b'"}'
    answer = house.client(house.cast.admin).put(
        "/v1/tickets/x/reopen", content=content if announced else in_chunks(content), headers=JSON
    )
    problem(answer, 413, "invalid_request", "body_too_large")


def test_another_media_type_is_415(house: House) -> None:
    answer = house.client(house.cast.admin).put("/v1/tickets/x/reopen", content=b"{}")
    problem(answer, 415, "invalid_request", "unsupported_media_type")
