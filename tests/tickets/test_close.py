"""Closing: the published answer, the published errors, and one winner when many race."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House
from kit import (
    BODIES_THAT_ARE_NO_JSON,
    BODIES_THAT_ARE_NO_OBJECT,
    BODY_LIMIT,
    JSON,
    OTHER_MEDIA_TYPES,
    close,
    complete_ticket,
    forbidden,
    force_status,
    get,
    in_chunks,
    integers_between,
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

FIELDS = ("resolution_note", "customer_satisfaction", "resolution_time", "root_cause")


def put(house: House, ticket: dict[str, Any], body: Any) -> httpx.Response:
    return house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", content=raw(body), headers=JSON)


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


@pytest.mark.parametrize("status", ["new", "open", "in_progress", "waiting_on_customer", "waiting_on_third_party"])
def test_every_open_state_can_be_closed(house: House, status: Status) -> None:
    ticket = house.ticket()
    force_status(house, ticket, status)
    closed = close(house, ticket)
    assert closed["status"] == "closed"
    complete_ticket(closed)
    assert listed(house, ticket, "events")[-1]["data"]["changes"]["status"] == {"from": status, "to": "closed"}


def test_a_reopened_ticket_can_be_closed_again(house: House) -> None:
    ticket = house.ticket()
    close(house, ticket)
    reopen(house, ticket)
    house.clock.advance(hours=1)
    assert close(house, ticket, root_cause="again")["closed_at"] == house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [entry["cycle"] for entry in listed(house, ticket, "resolutions")] == [1, 2]


def test_closing_a_resolved_ticket_moves_both_instants_and_keeps_what_the_sla_counts(house: House) -> None:
    ticket = house.ticket(priority=1)
    house.clock.advance(hours=7)
    force_status(house, ticket, "resolved")
    resolved = house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    house.clock.advance(days=3)
    now = house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    closed = close(house, ticket)
    assert (closed["resolved_at"], closed["closed_at"]) == (now, now)
    assert closed["sla"]["resolution_met"] is True
    assert closed["sla"]["response_met"] is False
    assert closed["sla"]["breached"] is True
    (resolution,) = listed(house, ticket, "resolutions")
    assert (resolution["resolved_at"], resolution["closed_at"]) == (resolved, now)


@pytest.mark.parametrize(
    ("minutes", "response", "resolution"),
    [(60, True, True), (61, False, True), (8 * 60, False, True), (8 * 60 + 1, False, False)],
)
def test_the_close_decides_the_sla_for_good(house: House, minutes: int, response: bool, resolution: bool) -> None:
    ticket = house.ticket(priority=1)
    house.clock.advance(minutes=minutes)
    closed = close(house, ticket)
    assert (closed["sla"]["response_met"], closed["sla"]["resolution_met"]) == (response, resolution)
    house.clock.advance(days=1000)
    assert get(house, ticket) == closed


def test_the_resolution_names_who_closed_and_who_was_assigned(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.other_agent_id)
    answer = house.client(house.cast.agent_key).put(f"/v1/tickets/{ticket['number']}/close", json={})
    assert answer.status_code == 200
    assert answer.json()["data"]["id"] == ticket["id"]
    (resolution,) = listed(house, ticket, "resolutions")
    assert resolution["agent_id"] == house.cast.other_agent_id
    assert resolution["closed_by"] == {"type": "user", "id": house.cast.agent_id, "name": "Jane Smith"}
    assert listed(house, ticket, "events")[-1]["actor"] == resolution["closed_by"]


def test_satisfaction_names_its_source(house: House) -> None:
    assert close(house, house.ticket(), customer_satisfaction=1)["satisfaction_source"] == "api"
    assert close(house, house.ticket())["satisfaction_source"] is None


def test_null_means_not_given(house: House) -> None:
    closed = close(house, house.ticket(), **dict.fromkeys(FIELDS))
    assert {closed[name] for name in FIELDS} == {None}


def test_a_clock_that_goes_back_does_not_close_before_the_last_change(house: House) -> None:
    ticket = house.ticket()
    house.clock.advance(minutes=-10)
    closed = close(house, ticket)
    house.clock.advance(minutes=10)
    assert closed["closed_at"] == closed["updated_at"] == ticket["created_at"]


def test_closing_needs_the_write_scope(house: House) -> None:
    ticket = house.ticket()
    before = stored(house)
    forbidden(house.client(house.cast.reader).put(f"/v1/tickets/{ticket['id']}/close", json={}), "tickets:write")
    assert stored(house) == before


def test_a_strangers_ticket_is_not_found_and_stays_as_it_is(house: House) -> None:
    for _ in range(3):
        ticket = house.ticket()
    before = stored(house)
    for key in (house.cast.stranger, house.cast.test_key):
        for reference in (ticket["id"], ticket["number"]):
            missing_ticket(house.client(key).put(f"/v1/tickets/{reference}/close", json={"resolution_note": "x"}))
    assert stored(house) == before
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("reference", ["ticket_nobody", "TICK-999999", "x", "TICK-0"])
def test_what_is_not_there_cannot_be_closed(house: House, reference: str) -> None:
    missing_ticket(house.client(house.cast.admin).put(f"/v1/tickets/{reference}/close"))


_LIMITS: list[tuple[str, tuple[list[Any], list[Any]]]] = [
    ("resolution_note", strings_between(0, 5_000)),
    ("customer_satisfaction", integers_between(1, 10)),
    ("resolution_time", integers_between(0, 5_256_000)),
    ("root_cause", strings_between(1, 100)),
]


@pytest.mark.parametrize(("field", "values"), [(name, good) for name, (good, _) in _LIMITS])
def test_values_in_bounds_are_taken_and_kept(house: House, field: str, values: list[Any]) -> None:
    for value in values:
        ticket = house.ticket()
        answer = put(house, ticket, {field: value})
        assert answer.status_code == 200, (value, answer.text)
        assert answer.json()["data"][field] == value
        assert get(house, ticket)[field] == value
        (resolution,) = listed(house, ticket, "resolutions")
        assert resolution[field] == value


@pytest.mark.parametrize(("field", "values"), [(name, bad) for name, (_, bad) in _LIMITS])
def test_values_out_of_bounds_are_refused_by_name(house: House, field: str, values: list[Any]) -> None:
    ticket = house.ticket()
    before = stored(house)
    for value in values:
        assert wrong_fields(put(house, ticket, {field: value})) == {field}, value
    assert stored(house) == before
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("field", ["status", "note", "Resolution_note", "closed_at", "assigned_to", "", "constructor"])
def test_an_unknown_field_is_refused_by_name(house: House, field: str) -> None:
    ticket = house.ticket()
    for value in ("x", None, {}):
        error = problem(put(house, ticket, {field: value}), 422, "validation_error", "invalid_parameters")
        assert [entry["field"] for entry in error["errors"]] == [field or "body"]
    assert get(house, ticket) == ticket


def test_all_wrong_fields_are_named_at_once(house: House) -> None:
    body = {
        "resolution_note": "x" * 5001,
        "customer_satisfaction": 11,
        "resolution_time": -1,
        "root_cause": "",
        "reason": "x",
    }
    assert wrong_fields(put(house, house.ticket(), body)) == set(body)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e1", "5.0", "1" + "0" * 400, "-1", "1E400"])
def test_a_number_that_is_no_integer_in_bounds_is_refused_by_name(house: House, number: str) -> None:
    ticket = house.ticket()
    for field in ("customer_satisfaction", "resolution_time"):
        answer = house.client(house.cast.admin).put(
            f"/v1/tickets/{ticket['id']}/close", content=f'{{"{field}": {number}}}', headers=JSON
        )
        assert wrong_fields(answer) == {field}
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_JSON)
def test_what_is_no_json_is_400(house: House, body: bytes) -> None:
    ticket = house.ticket()
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", content=body, headers=JSON)
    problem(answer, 400, "invalid_request", "malformed_json")
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_OBJECT)
def test_what_is_no_object_is_422(house: House, body: bytes) -> None:
    ticket = house.ticket()
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", content=body, headers=JSON)
    assert wrong_fields(answer) == {"body"}
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Length": "0"}])
def test_an_absent_body_needs_no_media_type(house: House, headers: dict[str, str]) -> None:
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{house.ticket()['id']}/close", headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("media_type", OTHER_MEDIA_TYPES)
def test_another_media_type_is_415(house: House, media_type: str) -> None:
    ticket = house.ticket()
    answer = house.client(house.cast.admin).put(
        f"/v1/tickets/{ticket['id']}/close", content=b"{}", headers={"Content-Type": media_type}
    )
    problem(answer, 415, "invalid_request", "unsupported_media_type")
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_an_oversized_body_is_413(house: House, announced: bool) -> None:
    ticket = house.ticket()
    content = b'{"resolution_note": "' + b"x" * BODY_LIMIT + b'"}'
    answer = house.client(house.cast.admin).put(
        f"/v1/tickets/{ticket['id']}/close", content=content if announced else in_chunks(content), headers=JSON
    )
    problem(answer, 413, "invalid_request", "body_too_large")
    assert get(house, ticket) == ticket


@pytest.mark.parametrize("table", ["events", "resolutions"])
def test_a_close_is_stored_whole_or_not_at_all(house: House, table: str) -> None:
    ticket = house.ticket()
    before = stored(house)
    house.sql(f"ALTER TABLE {table} ADD CONSTRAINT no_more CHECK (false) NOT VALID")
    try:
        answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", json={})
    finally:
        house.sql(f"ALTER TABLE {table} DROP CONSTRAINT no_more")
    problem(answer, 500, "api_error", "internal_error")
    assert stored(house) == before
    assert get(house, ticket) == ticket
    assert close(house, ticket)["status"] == "closed"


def test_a_close_waits_for_a_change_under_way_and_loses_nothing(house: House) -> None:
    ticket = house.ticket()
    with ThreadPoolExecutor(1) as threads, psycopg.connect(house.database_url) as conn:
        conn.execute("UPDATE tickets SET tags = '{late}', version = version + 1 WHERE id = %s", (ticket["id"],))
        running = threads.submit(put, house, ticket, {"root_cause": "race"})
        with pytest.raises(TimeoutError):
            running.result(0.3)
        conn.commit()
        closed = running.result(10).json()["data"]
    assert (closed["status"], closed["root_cause"], closed["tags"]) == ("closed", "race", ["late"])
    assert get(house, ticket) == closed


def test_closes_of_different_tickets_do_not_wait_for_each_other(house: House) -> None:
    tickets = [house.ticket() for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda ticket: put(house, ticket, {}), tickets))
    assert {answer.status_code for answer in answers} == {200}
    assert {len(listed(house, ticket, "resolutions")) for ticket in tickets} == {1}
