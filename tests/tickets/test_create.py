"""Opening a ticket: what is taken, what is answered, and what is refused by name."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from conftest import House
from kit import (
    BODIES_THAT_ARE_NO_JSON,
    BODIES_THAT_ARE_NO_OBJECT,
    BODY_LIMIT,
    EMOJI,
    JSON,
    OTHER_MEDIA_TYPES,
    complete_ticket,
    forbidden,
    get,
    in_chunks,
    integers_between,
    listed,
    problem,
    raw,
    stored,
    strings_between,
    wrong_fields,
)

LEAST = {"subject": "Refund not received", "description": "I was charged twice."}


def post(house: House, body: Any, **headers: str) -> httpx.Response:
    return house.client(house.cast.admin).post("/v1/tickets", content=raw(body), headers={**JSON, **headers})


def test_two_fields_are_enough(house: House) -> None:
    answer = post(house, LEAST)
    assert answer.status_code == 201
    ticket = answer.json()["data"]
    complete_ticket(ticket)
    now = house.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert re.fullmatch(r"ticket_[A-Za-z0-9_]{1,57}", ticket["id"])
    assert re.fullmatch(r"TICK-[1-9][0-9]*", ticket["number"])
    assert answer.headers["location"] == f"/v1/tickets/{ticket['id']}"
    assert answer.headers["etag"]
    assert {name: ticket[name] for name in LEAST} == LEAST
    assert (ticket["priority"], ticket["priority_label"], ticket["status"]) == (3, "Normal", "new")
    assert (ticket["tags"], ticket["custom_fields"], ticket["metadata"]) == ([], {}, {})
    assert (ticket["created_at"], ticket["updated_at"], ticket["reopen_count"]) == (now, now, 0)
    for name in (
        "category", "contact_id", "conversation_id", "assigned_to", "assigned_name", "due_date", "resolution_note",
        "customer_satisfaction", "satisfaction_source", "resolution_time", "root_cause", "resolved_at", "closed_at",
    ):  # fmt: skip
        assert ticket[name] is None, name
    assert get(house, ticket) == ticket


def test_everything_given_is_kept(house: House) -> None:
    body = {
        "subject": "Zahlung doppelt abgebucht 💶",
        "description": "# Twice\n\nOrder *1042* <script>alert(1)</script>",
        "priority": 1,
        "status": "in_progress",
        "category": "billing",
        "contact_id": house.cast.customer_id,
        "conversation_id": "conv_abc123",
        "assigned_to": house.cast.agent_id,
        "due_date": "2025-02-01T12:00:00Z",
        "tags": ["vip", "refund"],
        "custom_fields": {"order": 1042, "nested": {"deep": [1, 2.5, None, True, "x"]}, "ümläut": "ß"},
        "metadata": {"source": "web", "n": 1, "f": 1.5, "yes": True, "none": None},
    }
    answer = post(house, body)
    assert answer.status_code == 201, answer.text
    ticket = answer.json()["data"]
    assert {name: ticket[name] for name in body} == body
    assert ticket["assigned_name"] == "Jane Smith"
    assert get(house, ticket) == ticket


@pytest.mark.parametrize(
    ("priority", "label", "response", "resolution"),
    [(1, "Critical", 1, 8), (2, "High", 8, 24), (3, "Normal", 24, 72), (4, "Low", 7 * 24, 14 * 24)],
)
def test_the_priority_sets_label_and_targets(
    house: House, priority: int, label: str, response: int, resolution: int
) -> None:
    ticket = house.ticket(priority=priority)
    assert (ticket["priority"], ticket["priority_label"]) == (priority, label)
    sla, start = ticket["sla"], house.clock()
    assert sla["response_due_at"] == hours_after(start, response)
    assert sla["resolution_due_at"] == hours_after(start, resolution)
    assert (sla["response_met"], sla["resolution_met"]) == (None, None)
    assert (sla["first_response_at"], sla["breached"], sla["paused"]) == (None, False, False)


def hours_after(start: datetime, hours: int) -> str:
    return (start + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_assigning_a_new_ticket_opens_it(house: House) -> None:
    assert house.ticket(assigned_to=house.cast.agent_id)["status"] == "open"
    assert house.ticket(assigned_to=house.cast.agent_id, status="new")["status"] == "open"
    assert house.ticket(assigned_to=house.cast.agent_id, status="in_progress")["status"] == "in_progress"
    assert house.ticket(status="open")["status"] == "open"


def test_null_means_not_given(house: House) -> None:
    optional = (
        "priority", "status", "category", "contact_id", "conversation_id", "assigned_to", "due_date", "tags",
        "custom_fields", "metadata",
    )  # fmt: skip
    ticket = house.ticket(**dict.fromkeys(optional))
    plain = house.ticket()
    assert {name: ticket[name] for name in optional} == {name: plain[name] for name in optional}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2025-02-01T12:00:00Z", "2025-02-01T12:00:00Z"),
        ("2025-02-01T12:00:00+02:00", "2025-02-01T10:00:00Z"),
        ("2025-02-01T00:00:00+14:00", "2025-01-31T10:00:00Z"),
        ("2025-02-01T12:00:00.999Z", "2025-02-01T12:00:00Z"),
        ("2025-02-01t12:00:00z", "2025-02-01T12:00:00Z"),
        ("2024-02-29T23:59:59-00:00", "2024-02-29T23:59:59Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_an_instant_with_an_offset_is_told_in_utc(house: House, given: str, told: str) -> None:
    ticket = house.ticket(due_date=given)
    assert ticket["due_date"] == told
    assert get(house, ticket)["due_date"] == told


def test_numbers_count_up_in_each_workspace(house: House) -> None:
    first, second = house.ticket(), house.ticket()
    assert int(second["number"][5:]) > int(first["number"][5:])
    theirs = house.client(house.cast.stranger).post("/v1/tickets", json=LEAST).json()["data"]
    assert theirs["number"] == "TICK-1"


def test_creation_is_the_first_event(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.agent_id)
    created, *more = listed(house, ticket, "events")
    assert created["event_type"] == "ticket.created"
    assert created["data"]["ticket"] == ticket
    assert [event["event_type"] for event in more] == ["ticket.assigned"]


def test_creating_needs_the_write_scope(house: House) -> None:
    before = stored(house)
    forbidden(house.client(house.cast.reader).post("/v1/tickets", json=LEAST), "tickets:write")
    assert stored(house) == before


@pytest.mark.parametrize("field", ["contact_id", "assigned_to"])
def test_people_of_another_workspace_are_not_there(house: House, field: str) -> None:
    theirs = {"contact_id": house.cast.stranger_contact_id, "assigned_to": house.cast.stranger_user_id}[field]
    before = stored(house)
    for reference in (theirs, "nobody", "user_\u00e9", "x" * 64):
        assert wrong_fields(post(house, {**LEAST, field: reference})) == {field}
    assert stored(house) == before


def test_a_deactivated_user_gets_no_tickets(house: House) -> None:
    admin = house.client(house.cast.admin)
    user = admin.post("/v1/users", json={"name": "Gone", "email": "gone@example.com"}).json()["data"]
    assert admin.patch(f"/v1/users/{user['id']}", json={"active": False}).status_code == 200
    assert wrong_fields(post(house, {**LEAST, "assigned_to": user["id"]})) == {"assigned_to"}


def _cases() -> list[Any]:
    names = {
        "subject": strings_between(1, 200),
        "description": strings_between(1, 10_000),
        "category": strings_between(1, 100),
        "conversation_id": strings_between(1, 64),
        "priority": integers_between(1, 4),
        "status": (
            ["new", "open", "in_progress"],
            ["closed", "resolved", "reopened", "waiting_on_customer", "waiting_on_third_party", "NEW", "", 1],
        ),
        "due_date": (
            [],
            [
                "2025-02-01T12:00:00", "2025-02-01", "12:00:00Z", "tomorrow", "", 1738411200, True, [], {},
                "2025-02-30T00:00:00Z", "2025-02-01T24:00:01Z", "2025-02-01T12:00:00+2", "2025-02-01T12:00:00+99:00",
                "0000-00-00T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00",
                "２０２５-02-01T12:00:00Z", "2025-02-01T12:00:00Z\n",
            ],
        ),
        "tags": (
            [[], ["x"], ["x" * 50], [EMOJI * 50], [f"t{n}" for n in range(50)]],
            [
                [f"t{n}" for n in range(51)], ["x" * 51], [EMOJI * 51], [""], [1], [None], ["a\x00"], ["\ud800"], "vip",
                {}, 1, [["x"]],
            ],
        ),
        "custom_fields": (
            [
                {}, {f"k{n}": n for n in range(50)}, {"a": "x" * (16 * 1024 - 8)},
                {"a": EMOJI * ((16 * 1024 - 8) // 4)}, {"": ""}, {"a": nested(18)},
                {"a": 10**30}, {"a": 0.1}, {"a": -(2**63)}, {"a": None},
            ],
            [
                {f"k{n}": n for n in range(51)}, {"a": "x" * (16 * 1024 - 7)}, {"a": EMOJI * (16 * 1024 // 4 - 1)},
                {"a": nested(900)}, {"a": "\x00"}, {"a\x00": 1}, {"a": "\ud800"}, {"\udfff": 1}, {"a": [{"b": "\x00"}]},
                [], "x", 1, True, [["a", 1]],
            ],
        ),
        "metadata": (
            [
                {}, {f"k{n}": n for n in range(50)}, {"a": "x" * 500}, {"a": EMOJI * 500}, {"a": ""}, {"a": 10**30},
                {"a": 0.1},
            ],
            [
                {f"k{n}": n for n in range(51)}, {"a": "x" * 501}, {"a": EMOJI * 501}, {"a": "\x00"}, {"a\x00": 1},
                {"\ud800": 1}, {"a": "\ud800"}, [], "x", 1, True,
            ],
        ),
    }  # fmt: skip
    return [(name, good, bad) for name, (good, bad) in names.items()]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(("field", "values"), [(name, good) for name, good, _ in _cases()])
def test_values_in_bounds_are_taken_and_kept(house: House, field: str, values: list[Any]) -> None:
    for value in values:
        answer = post(house, {**LEAST, field: value})
        assert answer.status_code == 201, (value, answer.text)
        assert answer.json()["data"][field] == value
        assert get(house, answer.json()["data"])[field] == value


@pytest.mark.parametrize(("field", "values"), [(name, bad) for name, _, bad in _cases()])
def test_values_out_of_bounds_are_refused_by_name(house: House, field: str, values: list[Any]) -> None:
    before = stored(house)
    for value in values:
        named = wrong_fields(post(house, {**LEAST, field: value}))
        assert {name.partition(".")[0] for name in named} == {field}, (value, named)
    assert stored(house) == before


@pytest.mark.parametrize("field", ["subject", "description"])
def test_required_fields_are_missed_by_name(house: House, field: str) -> None:
    assert wrong_fields(post(house, {name: text for name, text in LEAST.items() if name != field})) == {field}
    assert wrong_fields(post(house, {**LEAST, field: None})) == {field}


@pytest.mark.parametrize(
    "field",
    ["resolution_note", "id", "number", "created_at", "closed_at", "Subject", "", "__class__", "x\x00", "\ud800"],
)
def test_an_unknown_field_is_refused_by_name(house: House, field: str) -> None:
    before = stored(house)
    error = problem(post(house, {**LEAST, field: "x"}), 422, "validation_error", "invalid_parameters")
    assert len(error["errors"]) == 1
    if field.isprintable() and field:
        assert error["errors"][0]["field"] == field
    assert stored(house) == before


def test_all_wrong_fields_are_named_at_once(house: House) -> None:
    body = {
        "subject": "",
        "description": 5,
        "priority": "1",
        "status": "closed",
        "category": "x" * 101,
        "tags": ["ok", "", "x" * 51],
        "custom_fields": [],
        "metadata": {"a": "x" * 501},
        "due_date": "2025-01-01T00:00:00",
        "color": "red",
    }
    named = {name.partition(".")[0] for name in wrong_fields(post(house, body))}
    assert named == set(body)


def test_wrong_people_are_named_both(house: House) -> None:
    body = {**LEAST, "contact_id": "contact_nobody", "assigned_to": "user_nobody"}
    assert wrong_fields(post(house, body)) == {"contact_id", "assigned_to"}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "1" * 5000])
@pytest.mark.parametrize("field", ["priority", "custom_fields", "metadata", "unknown"])
def test_numbers_out_of_range_are_no_fault_of_ours(house: House, number: str, field: str) -> None:
    before = stored(house)
    value = f'{{"a": {number}}}' if field in {"custom_fields", "metadata"} else number
    content = f'{{"subject": "a", "description": "b", "{field}": {value}}}'
    answer = house.client(house.cast.admin).post("/v1/tickets", content=content, headers=JSON)
    if "e" not in number and field in {"custom_fields", "metadata"} and answer.status_code == 201:
        assert json.loads(answer.text)["data"][field] == {"a": int(number)}
        return
    if len(number) > 4300:
        assert answer.status_code in {400, 422}, answer.text
    else:
        assert {name.partition(".")[0] for name in wrong_fields(answer)} == {field}
    assert stored(house) == before


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_JSON)
def test_what_is_no_json_is_400(house: House, body: bytes) -> None:
    before = stored(house)
    answer = house.client(house.cast.admin).post("/v1/tickets", content=body, headers=JSON)
    problem(answer, 400, "invalid_request", "malformed_json")
    assert stored(house) == before


@pytest.mark.parametrize("body", [*BODIES_THAT_ARE_NO_OBJECT, pytest.param(b"null", id="null"), b"", None])
def test_what_is_no_object_is_422(house: House, body: bytes | None) -> None:
    before = stored(house)
    answer = house.client(house.cast.admin).post("/v1/tickets", content=body, headers=JSON)
    assert wrong_fields(answer) == {"body"}
    assert stored(house) == before


def test_an_empty_object_lacks_both_fields(house: House) -> None:
    assert wrong_fields(post(house, {})) == {"subject", "description"}


@pytest.mark.parametrize("media_type", OTHER_MEDIA_TYPES)
def test_another_media_type_is_415(house: House, media_type: str) -> None:
    before = stored(house)
    answer = house.client(house.cast.admin).post(
        "/v1/tickets", content=raw(LEAST), headers={"Content-Type": media_type}
    )
    problem(answer, 415, "invalid_request", "unsupported_media_type")
    assert stored(house) == before


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"])
def test_the_media_type_may_have_parameters_and_any_case(house: House, media_type: str) -> None:
    answer = house.client(house.cast.admin).post(
        "/v1/tickets", content=raw(LEAST), headers={"Content-Type": media_type}
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize("size", [BODY_LIMIT + 1, 4 * BODY_LIMIT])
def test_an_oversized_body_is_413(house: House, announced: bool, size: int) -> None:
    before = stored(house)
    content = b'{"subject": "' + b"x" * (size - 15) + b'"}'
    answer = house.client(house.cast.admin).post(
        "/v1/tickets", content=content if announced else in_chunks(content), headers=JSON
    )
    problem(answer, 413, "invalid_request", "body_too_large")
    assert stored(house) == before


def test_the_largest_body_is_read(house: House) -> None:
    content = raw(LEAST).encode().ljust(BODY_LIMIT)
    for sent in (content, in_chunks(content)):
        answer = house.client(house.cast.admin).post("/v1/tickets", content=sent, headers=JSON)
        assert answer.status_code == 201, answer.text
