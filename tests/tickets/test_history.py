"""The history of a ticket: every change once, in order, with who made it and what it changed."""

import re
from concurrent.futures import ThreadPoolExecutor

from conftest import House
from kit import close, complete_ticket, get, listed, mint, reopen

EVENT_FIELDS = {"event_id", "event_type", "timestamp", "ticket_id", "actor", "data"}


def test_events_tell_the_whole_life_in_order(house: House) -> None:
    ticket = house.ticket(assigned_to=house.cast.agent_id)
    at = [ticket["created_at"]] * 2
    for change in (close, reopen, close):
        house.clock.advance(hours=1)
        at.append(change(house, ticket)["updated_at"])
    events = listed(house, ticket, "events")
    assert [event["event_type"] for event in events] == [
        "ticket.created",
        "ticket.assigned",
        "ticket.closed",
        "ticket.reopened",
        "ticket.closed",
    ]
    assert [event["timestamp"] for event in events] == at
    for event in events:
        assert set(event) >= EVENT_FIELDS
        assert re.fullmatch(r"evt_[A-Za-z0-9_]{1,60}", event["event_id"])
        assert event["ticket_id"] == ticket["id"]
        assert set(event["actor"]) == {"type", "id", "name"}
        complete_ticket(event["data"]["ticket"])
    assert len({event["event_id"] for event in events}) == len(events)
    assert events[-1]["data"]["ticket"] == get(house, ticket)


def test_several_events_of_one_instant_keep_their_order(house: House) -> None:
    ticket = house.ticket()
    for _ in range(10):
        close(house, ticket)
        reopen(house, ticket)
    kinds = [event["event_type"] for event in listed(house, ticket, "events")]
    assert kinds == ["ticket.created", *["ticket.closed", "ticket.reopened"] * 10]


def test_changes_name_what_changed_and_nothing_else(house: House) -> None:
    ticket = house.ticket()
    house.clock.advance(hours=1)
    closed = close(house, ticket, resolution_note="Done.", root_cause="bug")
    changes = listed(house, ticket, "events")[-1]["data"]["changes"]
    assert changes == {
        "status": {"from": "new", "to": "closed"},
        "resolution_note": {"from": None, "to": "Done."},
        "root_cause": {"from": None, "to": "bug"},
        "resolved_at": {"from": None, "to": closed["resolved_at"]},
        "closed_at": {"from": None, "to": closed["closed_at"]},
    }


def test_assignment_names_the_new_assignee(house: House) -> None:
    event = listed(house, house.ticket(assigned_to=house.cast.agent_id), "events")[1]
    assert event["data"]["changes"]["assigned_to"] == {"from": None, "to": house.cast.agent_id}


def test_the_actor_is_the_key_or_its_user(house: House) -> None:
    ticket = house.ticket()
    robot = mint(house, "tickets:write")
    assert house.client(robot).put(f"/v1/tickets/{ticket['id']}/close").status_code == 200
    assert house.client(house.cast.agent_key).put(f"/v1/tickets/{ticket['id']}/reopen").status_code == 200
    created, closed, reopened = [event["actor"] for event in listed(house, ticket, "events")]
    assert (created["type"], created["name"]) == ("key", "admin")
    assert (closed["type"], closed["name"]) == ("key", "tickets:write")
    assert re.fullmatch(r"key_[A-Za-z0-9_]+", closed["id"])
    assert reopened == {"type": "user", "id": house.cast.agent_id, "name": "Jane Smith"}


def test_pages_see_every_event_once(house: House) -> None:
    ticket = house.ticket()
    for _ in range(3):
        close(house, ticket)
        reopen(house, ticket)
    client = house.client(house.cast.reader)
    seen = []
    for page in (1, 2, 3, 4):
        body = client.get(f"/v1/tickets/{ticket['id']}/events", params={"page": page, "per_page": 3}).json()
        assert body["meta"] == {"total": 7, "page": page, "per_page": 3, "total_pages": 3}
        seen += [event["event_id"] for event in body["data"]]
    assert seen == [event["event_id"] for event in listed(house, ticket, "events")]


def test_racing_changes_leave_a_gapless_chain(house: House) -> None:
    ticket = house.ticket()
    client = house.client(house.cast.admin)
    with ThreadPoolExecutor(8) as threads:
        calls = [("close", "reopen")[n % 2] for n in range(80)]
        answers = list(threads.map(lambda call: client.put(f"/v1/tickets/{ticket['id']}/{call}").status_code, calls))
    assert set(answers) <= {200, 409}
    events = listed(house, ticket, "events")
    assert len(events) == 1 + answers.count(200)
    status = "new"
    for event in events[1:]:
        assert event["data"]["changes"]["status"]["from"] == status
        status = event["data"]["changes"]["status"]["to"]
        assert event["data"]["ticket"]["status"] == status
    assert status == get(house, ticket)["status"]
