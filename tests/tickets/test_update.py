"""Updating: fields left out stay, `null` clears, every transition follows the rule, and no update is lost."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, get_args

import httpx
import pytest
from conftest import House
from kit import (
    close,
    complete_ticket,
    forbidden,
    force_status,
    get,
    integers_between,
    listed,
    mint,
    missing_ticket,
    problem,
    raw,
    stored,
    strings_between,
    wrong_fields,
)

from ticketry.tickets.models import Status

STATES: tuple[Status, ...] = get_args(Status)
FULL: dict[str, Any] = {
    "subject": "Changed",
    "description": "Told **anew**.",
    "priority": 1,
    "category": "billing",
    "contact_id": "contact_sam_taylor",
    "conversation_id": "conv_1",
    "assigned_to": "user_jane_smith",
    "due_date": "2025-03-01T00:00:00Z",
    "tags": ["a", "b"],
    "custom_fields": {"order": 7, "nested": {"a": [1, None]}},
    "metadata": {"source": "mail"},
}
CLEARED: dict[str, Any] = {
    "category": None, "contact_id": None, "conversation_id": None, "assigned_to": None, "due_date": None, "tags": [],
    "custom_fields": {}, "metadata": {},
}  # fmt: skip


def patch(house: House, ticket: dict[str, Any], key: str | None = None, **body: Any) -> httpx.Response:
    return house.client(key or house.cast.admin).patch(f"/v1/tickets/{ticket['id']}", json=body)


def updated(house: House, ticket: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = patch(house, ticket, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def without(ticket: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in ticket.items() if name not in names}


def unchanged(house: House, ticket: dict[str, Any], answer: httpx.Response) -> httpx.Response:
    """The answer, after which the ticket is as it was."""
    assert get(house, ticket) == ticket
    return answer


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_everything_given_is_changed_and_the_rest_stays(house: House, method: str) -> None:
    ticket = house.ticket()
    house.clock.advance(minutes=5)
    answer = house.client(house.cast.admin).request(method, f"/v1/tickets/{ticket['number']}", json=FULL)
    assert answer.status_code == 200, answer.text
    changed = answer.json()["data"]
    complete_ticket(changed)
    assert {name: changed[name] for name in FULL} == FULL
    assert (changed["assigned_name"], changed["status"], changed["priority_label"]) == (
        "Jane Smith",
        "open",
        "Critical",
    )
    assert changed["updated_at"] > ticket["updated_at"]
    assert changed["created_at"] == ticket["created_at"]
    assert changed == get(house, ticket)


@pytest.mark.parametrize("name", FULL)
def test_one_field_alone_leaves_all_others(house: House, name: str) -> None:
    ticket = house.ticket()
    changed = updated(house, ticket, **{name: FULL[name]})
    assert changed[name] == FULL[name]
    may_follow = {
        "assigned_to": ["assigned_name", "status"],
        "priority": ["priority_label", "sla"],
    }.get(name, [])
    assert without(changed, name, *may_follow) == without(ticket, name, *may_follow)
    assert get(house, ticket) == changed


@pytest.mark.parametrize("name", CLEARED)
def test_null_clears_what_can_be_empty(house: House, name: str) -> None:
    ticket = updated(house, house.ticket(), **FULL)
    changed = updated(house, ticket, **{name: None})
    assert changed[name] == CLEARED[name]
    assert get(house, ticket) == changed
    kept = without(changed, name, "assigned_name", "updated_at")
    assert kept == without(ticket, name, "assigned_name", "updated_at")
    if name == "assigned_to":
        assert changed["assigned_name"] is None


def test_all_can_be_cleared_at_once(house: House) -> None:
    ticket = updated(house, house.ticket(), **FULL)
    changed = updated(house, ticket, **dict.fromkeys(CLEARED))
    assert {name: changed[name] for name in CLEARED} == CLEARED


@pytest.mark.parametrize("name", ["subject", "description", "priority", "status"])
def test_null_is_refused_where_there_is_always_a_value(house: House, name: str) -> None:
    ticket = house.ticket()
    assert wrong_fields(unchanged(house, ticket, patch(house, ticket, **{name: None}))) == {name}


def test_tags_and_metadata_are_replaced(house: House) -> None:
    ticket = updated(house, house.ticket(), tags=["a", "b"], metadata={"x": 1, "y": 2})
    changed = updated(house, ticket, tags=["c", "c", "b"], metadata={"z": True})
    assert changed["tags"] == ["c", "b"]
    assert changed["metadata"] == {"z": True}


def test_custom_fields_are_merged_and_null_removes_a_key(house: House) -> None:
    ticket = house.ticket(custom_fields={"a": 1, "b": {"x": 1}, "none": None})
    assert ticket["custom_fields"] == {"a": 1, "b": {"x": 1}, "none": None}
    changed = updated(house, ticket, custom_fields={"c": 3})
    assert changed["custom_fields"] == {"a": 1, "b": {"x": 1}, "c": 3, "none": None}
    changed = updated(house, ticket, custom_fields={"a": None, "b": {"y": None}, "unknown": None})
    assert changed["custom_fields"] == {"b": {"y": None}, "c": 3, "none": None}
    changed = updated(house, ticket, custom_fields={})
    assert changed["custom_fields"] == {"b": {"y": None}, "c": 3, "none": None}
    changed = updated(house, ticket, custom_fields={"none": None})
    assert changed["custom_fields"] == {"b": {"y": None}, "c": 3}
    assert updated(house, ticket, custom_fields=None)["custom_fields"] == {}
    assert get(house, ticket)["custom_fields"] == {}


def test_merging_does_not_lead_past_the_bounds(house: House) -> None:
    ticket = house.ticket(custom_fields={f"k{n}": n for n in range(50)})
    refused = patch(house, ticket, custom_fields={"one more": 1})
    assert wrong_fields(unchanged(house, ticket, refused)) == {"custom_fields"}
    assert updated(house, ticket, custom_fields={"k0": None, "one more": 1})["custom_fields"]["one more"] == 1
    large = house.ticket(custom_fields={"a": "x" * 9_000})
    assert wrong_fields(patch(house, large, custom_fields={"b": "x" * 9_000})) == {"custom_fields"}
    assert updated(house, large, custom_fields={"a": None, "b": "x" * 9_000})["custom_fields"] == {"b": "x" * 9_000}


@pytest.mark.parametrize("name", ["custom_fields", "metadata"])
@pytest.mark.parametrize(("old", "new"), [(1, True), (True, 1), (0, False), (1, 1.0), (1, "1"), (False, 0)])
def test_true_is_not_one(house: House, name: str, old: Any, new: Any) -> None:
    """Python takes `1 == True`; a change between them is a change all the same."""
    ticket = house.ticket(**{name: {"a": old, "b": "kept"}})
    given = {"a": new, "b": "kept"}
    changed = updated(house, ticket, **{name: given})
    for found in (changed, get(house, ticket)):
        assert (type(found[name]["a"]), found[name]["a"]) == (type(new), new)
    assert listed(house, ticket, "events")[-1]["event_type"] == "ticket.updated"


# Values and bodies


STRINGS = {"subject": (1, 200), "description": (1, 10_000), "category": (1, 100), "internal_note": (1, 10_000)}


@pytest.mark.parametrize("name", STRINGS)
def test_strings_have_the_bounds_of_creation(house: House, name: str) -> None:
    ticket = house.ticket()
    good, bad = strings_between(*STRINGS[name])
    for value in good:
        changed = updated(house, ticket, **{name: value})
        assert changed.get(name, value) == value
    headers = {"Content-Type": "application/json"}
    for value in bad:
        body = raw({name: value})
        answer = house.client(house.cast.admin).patch(f"/v1/tickets/{ticket['id']}", content=body, headers=headers)
        assert wrong_fields(answer) == {name}, value


def test_the_priority_is_one_to_four(house: House) -> None:
    ticket = house.ticket()
    good, bad = integers_between(1, 4)
    for value in good:
        assert updated(house, ticket, priority=value)["priority"] == value
    for value in bad:
        assert wrong_fields(patch(house, ticket, priority=value)) == {"priority"}


BAD: dict[str, list[Any]] = {
    "status": ["", "done", "Open", 1, True, ["open"], {}],
    "due_date": ["", "2025-03-01", "2025-03-01T00:00:00", 1, True, "soon"],
    "tags": ["a", [1], [""], ["x" * 51], [str(n) for n in range(51)], {}, [None]],
    "custom_fields": [[], "a", 1, {f"k{n}": 1 for n in range(51)}, {"a": "x" * 16_384}, {"a\x00": 1}],
    "metadata": [[], "a", {"a": []}, {"a": {}}, {"a": "x" * 501}, {f"k{n}": 1 for n in range(51)}],
    "conversation_id": ["", 1, "x" * 65],
    "contact_id": ["", 1, "contact_nobody", "contact_mallory", "user_jane_smith"],
    "assigned_to": ["", 1, "user_nobody", "user_eve_stranger", "none", "contact_sam_taylor"],
    "internal_note": ["", 1, "x" * 10_001],
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_value_is_refused_by_name_and_nothing_is_stored(house: House, name: str) -> None:
    ticket = house.ticket()
    for value in BAD[name]:
        named = wrong_fields(patch(house, ticket, **{name: value}, subject="Changed too"))
        assert {field.partition(".")[0] for field in named} == {name}, value
    unchanged(house, ticket, patch(house, ticket))


def test_all_wrong_fields_are_named_at_once(house: House) -> None:
    ticket = house.ticket()
    wrong = {name: values[0] for name, values in BAD.items() if name not in {"contact_id", "assigned_to"}}
    assert wrong_fields(patch(house, ticket, **wrong, unknown=1, resolution_note="x")) == {
        *wrong, "unknown", "resolution_note",
    }  # fmt: skip
    people = patch(house, ticket, contact_id="contact_nobody", assigned_to="user_nobody")
    assert wrong_fields(people) == {"contact_id", "assigned_to"}


@pytest.mark.parametrize(
    "name", ["id", "number", "created_at", "updated_at", "closed_at", "resolved_at", "sla", "reopen_count",
             "assigned_name", "priority_label", "customer_satisfaction", "resolution_note", "root_cause", "version"]
)  # fmt: skip
def test_what_the_program_decides_cannot_be_sent(house: House, name: str) -> None:
    ticket = house.ticket()
    assert wrong_fields(patch(house, ticket, **{name: ticket.get(name)})) == {name}


def test_an_empty_change_is_no_change(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    etag = client.get(path).headers["etag"]
    house.clock.advance(hours=1)
    same = {
        "subject": ticket["subject"], "priority": 3, "status": "new", "tags": [], "assigned_to": None,
        "custom_fields": {"unknown": None}, "metadata": {}, "internal_note": None, "due_date": None,
    }  # fmt: skip
    for body in ({}, same):
        answer = client.patch(path, json=body)
        assert (answer.status_code, answer.headers["etag"]) == (200, etag)
        assert answer.json()["data"] == ticket
    assert len(listed(house, ticket, "events")) == 1


# Life


def allowed(old: Status, new: Status) -> bool:
    """The contract's rule: from any state but `closed` to any other but `new` and `reopened`; from `closed` and
    `resolved` to `reopened`; `reopened` moves on like `open`."""
    if new == "reopened":
        return old in {"closed", "resolved"}
    return old != "closed" and new not in {"new", old}


@pytest.mark.parametrize("old", STATES)
def test_every_transition_follows_the_rule(house: House, old: Status) -> None:
    for new in STATES:
        ticket = house.ticket()
        force_status_by_calls(house, ticket, old)
        house.clock.advance(minutes=1)
        before, rows = get(house, ticket), stored(house)
        answer = patch(house, ticket, status=new)
        if allowed(old, new):
            assert answer.status_code == 200, (old, new, answer.text)
            check_moved(house, before, answer.json()["data"], new)
            continue
        assert stored(house) == rows
        assert get(house, ticket) == before
        check_refused(answer, old, new)


def force_status_by_calls(house: House, ticket: dict[str, Any], status: Status) -> None:
    """Brings a new ticket into a state by calls alone."""
    if status == "closed":
        close(house, ticket)
    elif status == "reopened":
        updated(house, ticket, status="resolved")
        updated(house, ticket, status="reopened")
    elif status != "new":
        updated(house, ticket, status=status)
    assert get(house, ticket)["status"] == status


def check_moved(house: House, before: dict[str, Any], after: dict[str, Any], new: Status) -> None:
    assert after["status"] == new
    assert after == get(house, before)
    assert (after["closed_at"] is not None) == (new == "closed")
    assert (after["resolved_at"] is not None) == (new in {"closed", "resolved"})
    assert after["reopen_count"] == before["reopen_count"] + (new == "reopened")
    kind = {"closed": "ticket.closed", "resolved": "ticket.resolved", "reopened": "ticket.reopened"}
    event = listed(house, before, "events")[-1]
    assert event["event_type"] == kind.get(new, "ticket.status_changed")
    assert event["data"]["changes"]["status"] == {"from": before["status"], "to": new}


def check_refused(answer: httpx.Response, old: Status, new: Status) -> None:
    if new == old != "closed":
        assert answer.status_code == 200, answer.text
    elif old == "closed" and new == "closed":
        problem(answer, 409, "conflict", "ticket_already_closed")
    elif old == "closed":
        problem(answer, 409, "conflict", "ticket_closed")
    elif new == "reopened":
        problem(answer, 409, "conflict", "ticket_not_closed")
    else:
        error = problem(answer, 409, "conflict", "invalid_transition")
        assert (error["from"], error["to"]) == (old, new)
        assert set(error["allowed"]) == {state for state in STATES if allowed(old, state)}


def test_closing_by_status_is_the_close_call(house: House) -> None:
    one, other = house.ticket(priority=1), house.ticket(priority=1)
    house.clock.advance(hours=2)
    by_status = updated(house, one, status="closed")
    by_call = close(house, other)
    differs = ("id", "number")
    assert without(by_status, *differs) == without(by_call, *differs)
    for ticket in (one, other):
        resolution = listed(house, ticket, "resolutions")
        assert len(resolution) == 1
        assert resolution[0]["sla"]["response_met"] is False
        event = listed(house, ticket, "events")[-1]
        assert event["event_type"] == "ticket.closed"
        assert event["data"]["resolution"] == resolution[0]


def test_closing_twice_by_status_is_the_published_409(house: House) -> None:
    ticket = close(house, house.ticket(), resolution_note="Done.")
    house.clock.advance(hours=1)
    answer = unchanged(house, ticket, patch(house, ticket, status="closed"))
    error = problem(answer, 409, "conflict", "ticket_already_closed")
    assert (error["message"], error["closed_at"]) == ("Ticket is already closed", ticket["closed_at"])
    problem(patch(house, ticket, status="closed", tags=["a"]), 409, "conflict", "ticket_already_closed")
    problem(patch(house, ticket, status="closed", subject="a"), 409, "conflict", "ticket_closed")
    assert get(house, ticket) == ticket


def test_of_16_who_close_by_status_one_wins(house: House) -> None:
    ticket = house.ticket()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: patch(house, ticket, status="closed").status_code, range(16)))
    assert sorted(answers) == [200] + [409] * 15
    assert len(listed(house, ticket, "resolutions")) == 1


def test_reopening_by_status_is_the_reopen_call(house: House) -> None:
    ticket = close(house, house.ticket(), resolution_note="Done.", customer_satisfaction=9)
    house.clock.advance(hours=1)
    changed = updated(house, ticket, status="reopened")
    assert changed["reopen_count"] == 1
    assert (changed["resolution_note"], changed["customer_satisfaction"], changed["closed_at"]) == (None, None, None)
    assert listed(house, ticket, "resolutions")[0]["resolution_note"] == "Done."
    assert listed(house, ticket, "events")[-1]["event_type"] == "ticket.reopened"


def test_fields_beside_the_status_are_changed_with_it(house: House) -> None:
    ticket = house.ticket()
    house.clock.advance(hours=2)
    changed = updated(house, ticket, status="closed", priority=1, assigned_to="user_bob_jones", tags=["x"])
    assert (changed["status"], changed["priority"], changed["tags"]) == ("closed", 1, ["x"])
    assert changed["sla"]["response_met"] is False
    resolution = listed(house, ticket, "resolutions")[0]
    assert (resolution["agent_id"], resolution["agent_name"]) == ("user_bob_jones", "Bob Jones")
    assert resolution["sla"]["response_met"] is False
    reopened = updated(house, ticket, status="reopened", tags=["y"], custom_fields={"a": 1})
    assert (reopened["status"], reopened["tags"], reopened["custom_fields"]) == ("reopened", ["y"], {"a": 1})


REFUSED_WHEN_CLOSED: dict[str, Any] = {
    **{name: value for name, value in FULL.items() if name not in {"tags", "custom_fields", "metadata"}},
    "status": "open",
}


def test_a_closed_ticket_accepts_only_what_is_said(house: House) -> None:
    ticket = close(house, house.ticket())
    for name, value in REFUSED_WHEN_CLOSED.items():
        answer = patch(house, ticket, **{name: value}, tags=["no"])
        error = problem(answer, 409, "conflict", "ticket_closed")
        assert name in error["message"]
        assert "assigned_name" not in error["message"]
        assert get(house, ticket) == ticket
    problem(patch(house, ticket, subject=ticket["subject"]), 409, "conflict", "ticket_closed")
    problem(patch(house, ticket, category=None), 409, "conflict", "ticket_closed")
    problem(patch(house, ticket, status="reopened", subject="Both"), 409, "conflict", "ticket_closed")
    house.clock.advance(days=3)
    changed = updated(house, ticket, tags=["a"], custom_fields={"b": 1}, metadata={"c": 1}, internal_note="Seen.")
    assert (changed["tags"], changed["custom_fields"], changed["metadata"]) == (["a"], {"b": 1}, {"c": 1})
    fixed = ("tags", "custom_fields", "metadata", "updated_at")
    assert without(changed, *fixed) == without(ticket, *fixed)
    assert updated(house, ticket, status="reopened", internal_note="Again.")["status"] == "reopened"


# People


def test_assigning_a_new_ticket_opens_it(house: House) -> None:
    ticket = house.ticket()
    changed = updated(house, ticket, assigned_to="user_jane_smith")
    assert (changed["status"], changed["assigned_name"]) == ("open", "Jane Smith")
    kinds = [event["event_type"] for event in listed(house, ticket, "events")]
    assert kinds == ["ticket.created", "ticket.assigned", "ticket.status_changed"]
    assert (
        updated(house, house.ticket(), assigned_to="user_jane_smith", status="in_progress")["status"] == "in_progress"
    )
    assert updated(house, house.ticket(), assigned_to="user_jane_smith", status="new")["status"] == "open"
    assert updated(house, house.ticket(), assigned_to=None)["status"] == "new"


@pytest.mark.parametrize("status", ["open", "in_progress", "waiting_on_customer", "resolved"])
def test_assigning_any_other_ticket_leaves_its_state(house: House, status: Status) -> None:
    ticket = house.ticket()
    force_status(house, ticket, status)
    assert updated(house, ticket, assigned_to="user_jane_smith")["status"] == status


def test_the_assignees_name_is_told_as_it_is_now(house: House) -> None:
    client = house.client(house.cast.admin)
    user = client.post("/v1/users", json={"name": "Ann Old", "email": "ann.old@example.com"}).json()["data"]
    ticket = updated(house, house.ticket(), assigned_to=user["id"])
    assert ticket["assigned_name"] == "Ann Old"
    client.patch(f"/v1/users/{user['id']}", json={"name": "Ann New"})
    assert get(house, ticket)["assigned_name"] == "Ann New"
    events = len(listed(house, ticket, "events"))
    assert updated(house, ticket, assigned_to=user["id"])["assigned_name"] == "Ann New"
    assert len(listed(house, ticket, "events")) == events
    found = client.get("/v1/tickets", params={"assigned_to": user["id"]}).json()["data"]
    assert [item["assigned_name"] for item in found] == ["Ann New"]


def test_a_key_that_acts_for_a_user_is_named_in_the_history(house: House) -> None:
    ticket = house.ticket()
    assert patch(house, ticket, house.cast.agent_key, priority=2).status_code == 200
    assert listed(house, ticket, "events")[-1]["actor"] == {
        "type": "user", "id": "user_jane_smith", "name": "Jane Smith",
    }  # fmt: skip


# Notes


def test_an_internal_note_is_never_among_public_comments(house: House) -> None:
    ticket = house.ticket()
    house.clock.advance(hours=1)
    changed = updated(house, ticket, internal_note="Customer is **angry**.")
    assert "internal_note" not in changed
    assert changed["updated_at"] > ticket["updated_at"]
    client, path = house.client(house.cast.reader), f"/v1/tickets/{ticket['id']}/comments"
    comments = client.get(path).json()["data"]
    assert [(c["body"], c["visibility"], c["author"]["type"]) for c in comments] == [
        ("Customer is **angry**.", "internal", "system")
    ]
    assert client.get(path, params={"visibility": "public"}).json()["data"] == []
    events = listed(house, ticket, "events")
    assert [event["event_type"] for event in events] == ["ticket.created", "ticket.commented"]
    assert events[-1]["data"]["comment"] == comments[0]
    assert changed["sla"] == ticket["sla"]


def test_a_note_is_by_the_user_of_the_key(house: House) -> None:
    ticket = house.ticket()
    assert patch(house, ticket, house.cast.agent_key, internal_note="Mine", priority=1).status_code == 200
    comment = listed(house, ticket, "comments")[0]
    assert comment["author"] == {"type": "user", "id": "user_jane_smith", "name": "Jane Smith"}
    assert get(house, ticket)["sla"]["first_response_at"] is None
    assert [event["event_type"] for event in listed(house, ticket, "events")] == [
        "ticket.created", "ticket.commented", "ticket.updated",
    ]  # fmt: skip


def test_a_refused_change_leaves_no_note(house: House) -> None:
    ticket = close(house, house.ticket())
    problem(patch(house, ticket, internal_note="No", subject="No"), 409, "conflict", "ticket_closed")
    assert listed(house, ticket, "comments") == []


# History


def test_each_change_is_told_exactly_once(house: House) -> None:
    ticket = house.ticket()
    body = {**FULL, "status": "resolved", "internal_note": "Note"}
    changed = updated(house, ticket, **body)
    events = listed(house, ticket, "events")[1:]
    kinds = [event["event_type"] for event in events]
    assert sorted(kinds) == ["ticket.assigned", "ticket.commented", "ticket.resolved", "ticket.updated"]
    told: list[str] = []
    for event in events:
        changes = event["data"]["changes"]
        told += changes
        for name, change in changes.items():
            assert change == {"from": ticket[name], "to": changed[name]}, name
        assert event["data"]["ticket"] == changed
    assert len(told) == len(set(told))
    assert set(told) == {*FULL, "assigned_name", "status", "resolved_at"}


def test_a_chain_of_changes_can_be_followed_from_the_first_to_the_last(house: House) -> None:
    ticket = house.ticket()
    state = dict(ticket)
    bodies: list[dict[str, Any]] = [
        {"priority": 2, "tags": ["a"]}, {"assigned_to": "user_bob_jones"}, {"custom_fields": {"a": 1}},
        {"custom_fields": {"a": None, "b": 2}}, {"status": "closed"}, {"status": "reopened", "tags": []},
        {"assigned_to": None, "status": "waiting_on_customer"}, {"due_date": "2025-05-01T02:00:00+02:00"},
    ]  # fmt: skip
    for body in bodies:
        house.clock.advance(minutes=1)
        updated(house, ticket, **body)
    for event in listed(house, ticket, "events")[1:]:
        for name, change in event["data"]["changes"].items():
            assert state[name] == change["from"], (name, event["event_type"])
            state[name] = change["to"]
    now = get(house, ticket)
    derived = ("sla", "priority_label", "updated_at")
    assert without(state, *derived) == without(now, *derived)


# Races


def test_an_update_for_another_version_is_refused(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    first = client.get(path).headers["etag"]
    answer = client.patch(path, json={"priority": 1}, headers={"If-Match": first})
    assert answer.status_code == 200
    second = answer.headers["etag"]
    assert second != first
    for body in ({"priority": 2}, {}, {"status": "closed"}, {"internal_note": "x"}):
        refused = client.put(path, json=body, headers={"If-Match": first})
        assert problem(refused, 412, "precondition_failed", "stale_ticket")["current"] == second
    assert client.patch(path, json={"priority": 2}, headers={"If-Match": f'"9", {second}'}).status_code == 200
    assert len(listed(house, ticket, "events")) == 3


def test_of_12_who_saw_the_same_version_one_writes(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    headers = {"If-Match": client.get(path).headers["etag"]}
    with ThreadPoolExecutor(12) as threads:
        answers = list(
            threads.map(
                lambda n: client.patch(path, json={"subject": f"Mine {n}"}, headers=headers).status_code, range(12)
            )
        )
    assert sorted(answers) == [200] + [412] * 11


def test_20_who_change_different_things_at_once_lose_nothing(house: House) -> None:
    ticket = house.ticket()
    fields: list[dict[str, Any]] = [{name: value} for name, value in FULL.items() if name != "custom_fields"]
    fields += [{"custom_fields": {f"key{n}": n}} for n in range(20 - len(fields))]
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda body: patch(house, ticket, **body).status_code, fields))
    assert answers == [200] * 20
    now = get(house, ticket)
    for body in fields:
        for name, value in body.items():
            assert (value.items() <= now[name].items()) if name == "custom_fields" else now[name] == value
    events = listed(house, ticket, "events")
    assert len(events) == 1 + 20 + 1  # the assignment also opened it
    assert events[-1]["data"]["ticket"] == now


def test_20_who_set_keys_of_their_own_again_and_again_lose_nothing(house: House) -> None:
    ticket = house.ticket()

    def work(n: int) -> None:
        for step in range(4):
            assert patch(house, ticket, custom_fields={f"key{n}": step}).status_code == 200

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(work, range(20)))
    assert get(house, ticket)["custom_fields"] == {f"key{n}": 3 for n in range(20)}
    events = listed(house, ticket, "events")
    assert len(events) == 81
    for before, after in pairwise(events[1:]):
        assert after["data"]["changes"]["custom_fields"]["from"] == before["data"]["changes"]["custom_fields"]["to"]


def test_updates_comments_and_closes_at_once_all_count(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"

    def act(n: int) -> int:
        if n % 3 == 0:
            return client.post(f"{path}/comments", json={"body": f"Said {n}"}).status_code
        if n % 3 == 1:
            return client.patch(path, json={"custom_fields": {f"k{n}": n}}).status_code
        return client.patch(path, json={"internal_note": f"Noted {n}"}).status_code

    with ThreadPoolExecutor(15) as threads:
        answers = list(threads.map(act, range(15)))
    assert answers == [201, 200, 200] * 5
    assert get(house, ticket)["custom_fields"] == {f"k{n}": n for n in range(1, 15, 3)}
    assert len(listed(house, ticket, "comments")) == 10
    assert len(listed(house, ticket, "events")) == 16


# Who may


def test_updating_needs_the_write_scope(house: House) -> None:
    ticket = house.ticket()
    for method in ("PUT", "PATCH"):
        answer = house.client(house.cast.reader).request(method, f"/v1/tickets/{ticket['id']}", json={"priority": 1})
        forbidden(answer, "tickets:write")
    assert house.client(mint(house, "tickets:write")).patch(f"/v1/tickets/{ticket['id']}", json={}).status_code == 200


def test_a_strangers_ticket_is_not_found(house: House) -> None:
    ticket = house.ticket()
    for key in (house.cast.stranger, house.cast.test_key):
        missing_ticket(patch(house, ticket, key, priority=1))
        missing_ticket(patch(house, {"id": ticket["number"] + "0"}, key, status="closed"))
    assert get(house, ticket) == ticket
