"""Comments: who says it, who may see it, what a customer's word does to the ticket, what counts as a response."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import House
from kit import (
    close,
    forbidden,
    force_status,
    get,
    listed,
    mint,
    missing_ticket,
    problem,
    strings_between,
    wrong_fields,
)

from ticketry.tickets.models import Status

FIELDS = {"id", "ticket_id", "body", "visibility", "author", "created_at", "attachments"}
SAM = "contact_sam_taylor"


def say(house: House, ticket: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    body = {"body": "Hello", **fields}
    return house.client(key or house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json=body)


def said(house: House, ticket: dict[str, Any], key: str | None = None, **fields: Any) -> dict[str, Any]:
    answer = say(house, ticket, key, **fields)
    assert answer.status_code == 201, answer.text
    comment: dict[str, Any] = answer.json()["data"]
    assert set(comment) == FIELDS
    assert set(comment["author"]) == {"type", "id", "name"}
    return comment


def bodies(house: House, ticket: dict[str, Any], **query: Any) -> list[str]:
    answer = house.client(house.cast.reader).get(f"/v1/tickets/{ticket['id']}/comments", params=query)
    assert answer.status_code == 200, answer.text
    return [comment["body"] for comment in answer.json()["data"]]


def kinds(house: House, ticket: dict[str, Any]) -> list[str]:
    return [event["event_type"] for event in listed(house, ticket, "events")]


# Authors


def test_a_comment_is_by_the_user_of_the_key(house: House) -> None:
    ticket = house.ticket()
    comment = said(house, ticket, house.cast.agent_key, body="On it.")
    assert comment["author"] == {"type": "user", "id": "user_jane_smith", "name": "Jane Smith"}
    assert comment["visibility"] == "public"
    assert comment["ticket_id"] == ticket["id"]
    assert listed(house, ticket, "comments") == [comment]


def test_a_comment_is_by_the_user_or_contact_named(house: House) -> None:
    ticket = house.ticket()
    by_user = said(house, ticket, house.cast.agent_key, user_id="user_bob_jones")
    assert by_user["author"] == {"type": "user", "id": "user_bob_jones", "name": "Bob Jones"}
    by_contact = said(house, ticket, house.cast.agent_key, contact_id=SAM)
    assert by_contact["author"] == {"type": "contact", "id": SAM, "name": "Sam Taylor"}
    assert [event["actor"] for event in listed(house, ticket, "events")[1:]] == [
        by_user["author"],
        by_contact["author"],
    ]


def test_a_key_that_acts_for_nobody_speaks_as_the_system(house: House) -> None:
    ticket = house.ticket()
    robot = mint(house, "tickets:write")
    author = said(house, ticket, robot)["author"]
    assert (author["type"], author["name"]) == ("system", "tickets:write")
    assert author["id"].startswith("key_")
    actor = listed(house, ticket, "events")[-1]["actor"]
    assert (actor["type"], actor["id"]) == ("key", author["id"])


def test_a_name_stays_as_it_was_when_it_was_said(house: House) -> None:
    client = house.client(house.cast.admin)
    user = client.post("/v1/users", json={"name": "Old Name", "email": "old.name@example.com"}).json()["data"]
    ticket = house.ticket()
    said(house, ticket, user_id=user["id"])
    client.patch(f"/v1/users/{user['id']}", json={"name": "New Name"})
    assert listed(house, ticket, "comments")[0]["author"]["name"] == "Old Name"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"user_id": "user_jane_smith", "contact_id": SAM}, "user_id"),
        ({"user_id": "user_nobody"}, "user_id"),
        ({"user_id": "user_eve_stranger"}, "user_id"),
        ({"contact_id": "contact_nobody"}, "contact_id"),
        ({"contact_id": "contact_mallory"}, "contact_id"),
        ({"contact_id": SAM, "visibility": "internal"}, "visibility"),
        ({"visibility": "secret"}, "visibility"),
        ({"author": "me"}, "author"),
        ({"created_at": "2025-01-01T00:00:00Z"}, "created_at"),
    ],
    ids=str,
)
def test_a_wrong_author_or_field_is_refused_by_name(house: House, fields: dict[str, Any], named: str) -> None:
    ticket = house.ticket()
    assert wrong_fields(say(house, ticket, **fields)) == {named}
    assert listed(house, ticket, "comments") == []
    assert kinds(house, ticket) == ["ticket.created"]


def test_a_deactivated_user_says_nothing_more(house: House) -> None:
    client = house.client(house.cast.admin)
    user = client.post("/v1/users", json={"name": "Gone", "email": "gone.soon@example.com"}).json()["data"]
    client.patch(f"/v1/users/{user['id']}", json={"active": False})
    assert wrong_fields(say(house, house.ticket(), user_id=user["id"])) == {"user_id"}


def test_the_body_has_1_to_10000_characters_and_is_kept_to_the_letter(house: House) -> None:
    ticket = house.ticket()
    good, bad = strings_between(1, 10_000)
    for body in good:
        assert said(house, ticket, body=body)["body"] == body
    assert bodies(house, ticket) == good
    for body in bad:
        if not (isinstance(body, str) and not body.isascii()):
            assert wrong_fields(say(house, ticket, body=body)) == {"body"}
    answer = house.client(house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json={})
    assert wrong_fields(answer) == {"body"}


def test_null_means_not_given(house: House) -> None:
    comment = said(house, house.ticket(), house.cast.agent_key, visibility=None, user_id=None, contact_id=None)
    assert (comment["visibility"], comment["author"]["id"]) == ("public", "user_jane_smith")


# Lists


def test_comments_come_oldest_first_in_pages_and_by_visibility(house: House) -> None:
    ticket, other = house.ticket(), house.ticket()
    for n in range(7):
        said(house, ticket, body=str(n), visibility=("public", "internal")[n % 2])
        said(house, other, body=f"other {n}")
    assert bodies(house, ticket) == list("0123456")
    assert bodies(house, ticket, visibility="public") == list("0246")
    assert bodies(house, ticket, visibility="internal") == list("135")
    client, path = house.client(house.cast.reader), f"/v1/tickets/{ticket['number']}/comments"
    seen: list[str] = []
    for page in (1, 2, 3, 4):
        body = client.get(path, params={"page": page, "per_page": 3}).json()
        assert body["meta"] == {"total": 7, "page": page, "per_page": 3, "total_pages": 3}
        seen += [comment["body"] for comment in body["data"]]
    assert seen == list("0123456")
    public = client.get(path, params={"visibility": "public", "per_page": 1}).json()
    assert public["meta"] == {"total": 4, "page": 1, "per_page": 1, "total_pages": 4}


@pytest.mark.parametrize(
    ("name", "value"),
    [("visibility", "all"), ("visibility", ""), ("page", "0"), ("per_page", "101"), ("per_page", "x")],
)
def test_a_wrong_question_is_refused_by_name(house: House, name: str, value: str) -> None:
    path = f"/v1/tickets/{house.ticket()['id']}/comments"
    assert wrong_fields(house.client(house.cast.reader).get(path, params={name: value})) == {name}


def test_commenting_and_reading_have_a_scope_each(house: House) -> None:
    ticket = house.ticket()
    forbidden(say(house, ticket, house.cast.reader), "tickets:write")
    forbidden(house.client(mint(house, "tickets:write")).get(f"/v1/tickets/{ticket['id']}/comments"), "tickets:read")


def test_a_strangers_ticket_is_not_found(house: House) -> None:
    ticket = house.ticket()
    said(house, ticket)
    for key in (house.cast.stranger, house.cast.test_key):
        missing_ticket(say(house, ticket, key))
        missing_ticket(house.client(key).get(f"/v1/tickets/{ticket['id']}/comments"))
    assert len(listed(house, ticket, "comments")) == 1


def test_a_comment_sent_again_is_said_once(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}/comments"
    answers = [client.post(path, json={"body": "Once"}, headers={"Idempotency-Key": "say-once"}) for _ in range(3)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert bodies(house, ticket) == ["Once"]


def test_a_comment_for_another_version_is_refused(house: House) -> None:
    """A reply written for what the ticket said a moment ago: `If-Match` is for every write on a ticket."""
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    seen = client.get(path).headers["etag"]
    client.patch(path, json={"priority": 1})
    refused = client.post(f"{path}/comments", json={"body": "Late"}, headers={"If-Match": seen})
    current = client.get(path).headers["etag"]
    assert problem(refused, 412, "precondition_failed", "stale_ticket")["current"] == current
    assert client.post(f"{path}/comments", json={"body": "Fine"}, headers={"If-Match": current}).status_code == 201
    assert bodies(house, ticket) == ["Fine"]


# What a comment does


def test_a_comment_is_an_event_and_a_new_version(house: House) -> None:
    ticket = house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    before = client.get(path).headers["etag"]
    house.clock.advance(minutes=3)
    comment = said(house, ticket, house.cast.agent_key, visibility="internal")
    assert client.get(path).headers["etag"] != before
    event = listed(house, ticket, "events")[-1]
    assert event["event_type"] == "ticket.commented"
    assert event["data"]["comment"] == comment
    assert event["data"]["changes"] == {}
    assert event["data"]["ticket"] == get(house, ticket)
    assert get(house, ticket)["updated_at"] == comment["created_at"]


OPEN_STATES: list[Status] = ["new", "open", "in_progress", "waiting_on_third_party", "reopened"]


@pytest.mark.parametrize("status", OPEN_STATES)
def test_a_customers_comment_on_an_open_ticket_leaves_its_state(house: House, status: Status) -> None:
    ticket = house.ticket()
    force_status(house, ticket, status)
    said(house, ticket, contact_id=SAM)
    assert get(house, ticket)["status"] == status


def test_a_customers_comment_wakes_a_waiting_ticket(house: House) -> None:
    ticket = house.ticket(assigned_to="user_jane_smith")
    force_status(house, ticket, "waiting_on_customer")
    assert get(house, ticket)["sla"]["paused"] is True
    house.clock.advance(days=2)
    said(house, ticket, contact_id=SAM)
    after = get(house, ticket)
    assert (after["status"], after["sla"]["paused"], after["reopen_count"]) == ("open", False, 0)
    assert kinds(house, ticket)[-2:] == ["ticket.commented", "ticket.status_changed"]


def test_a_customers_comment_reopens_a_resolved_ticket(house: House) -> None:
    ticket = house.ticket()
    force_status(house, ticket, "resolved")
    house.clock.advance(days=300)
    said(house, ticket, contact_id=SAM)
    after = get(house, ticket)
    assert (after["status"], after["reopen_count"], after["resolved_at"]) == ("reopened", 1, None)
    events = listed(house, ticket, "events")
    assert [e["event_type"] for e in events[-2:]] == ["ticket.commented", "ticket.reopened"]
    assert events[-1]["actor"] == {"type": "contact", "id": SAM, "name": "Sam Taylor"}


@pytest.mark.parametrize("status", ["waiting_on_customer", "resolved", "closed"])
@pytest.mark.parametrize("by", [{"user_id": "user_bob_jones"}, {}, {"visibility": "internal"}], ids=str)
def test_nobody_elses_comment_moves_a_ticket(house: House, status: Status, by: dict[str, str]) -> None:
    ticket = house.ticket()
    if status == "closed":
        close(house, ticket)
    else:
        force_status(house, ticket, status)
    before = get(house, ticket)
    house.clock.advance(days=1)
    comment = said(house, ticket, **by)
    assert comment["ticket_id"] == ticket["id"]
    after = get(house, ticket)
    assert (after["status"], after["resolved_at"], after["closed_at"]) == (
        status, before["resolved_at"], before["closed_at"],
    )  # fmt: skip
    if status == "closed":
        assert after["sla"] == before["sla"]


# Closed tickets: the reopen window


@pytest.fixture
def window(house: House) -> Iterator[int]:
    """The days of the reopen window, the default."""
    yield 14
    client = house.client(house.cast.admin)
    client.patch(f"/v1/workspaces/{house.cast.workspace_id}", json={"reopen_window_days": 14})


@pytest.mark.parametrize("late", [timedelta(), timedelta(days=3), timedelta(days=14)])
def test_within_the_window_a_customers_comment_reopens(house: House, window: int, late: timedelta) -> None:
    ticket = close(house, house.ticket(contact_id=SAM), resolution_note="Done.")
    house.clock.now += late
    comment = said(house, ticket, contact_id=SAM)
    assert comment["ticket_id"] == ticket["id"]
    after = get(house, ticket)
    assert (after["status"], after["reopen_count"], after["resolution_note"]) == ("reopened", 1, None)
    assert listed(house, ticket, "resolutions")[0]["resolution_note"] == "Done."


def test_after_the_window_it_opens_a_follow_up(house: House, window: int) -> None:
    fields = {"contact_id": SAM, "priority": 2, "category": "billing", "tags": ["vip"]}
    ticket = close(house, house.ticket(**fields, assigned_to="user_bob_jones"))
    closed_rows = get(house, ticket), listed(house, ticket, "events"), listed(house, ticket, "comments")
    house.clock.advance(days=14, seconds=1)
    comment = said(house, ticket, contact_id=SAM, body="It is back.")
    assert comment["ticket_id"] != ticket["id"]
    follow_up = get(house, {"id": comment["ticket_id"]})
    assert follow_up["follow_up_of"] == ticket["id"]
    assert (follow_up["subject"], follow_up["status"], follow_up["reopen_count"]) == (ticket["subject"], "new", 0)
    assert {name: follow_up[name] for name in fields} == fields
    assert listed(house, follow_up, "comments") == [comment]
    assert kinds(house, follow_up) == ["ticket.created", "ticket.commented"]
    assert (get(house, ticket), listed(house, ticket, "events"), listed(house, ticket, "comments")) == closed_rows
    assert ticket["number"] in follow_up["description"]


def test_a_follow_up_is_of_the_one_who_asks_if_the_ticket_has_no_contact(house: House, window: int) -> None:
    ticket = close(house, house.ticket())
    house.clock.advance(days=20)
    follow_up = get(house, {"id": said(house, ticket, contact_id=SAM)["ticket_id"]})
    assert follow_up["contact_id"] == SAM


def test_a_late_comment_by_the_team_stays_on_the_closed_ticket(house: House, window: int) -> None:
    ticket = close(house, house.ticket())
    house.clock.advance(days=100)
    assert said(house, ticket, user_id="user_bob_jones")["ticket_id"] == ticket["id"]


def test_the_window_is_the_workspaces_own(house: House, window: int) -> None:
    client = house.client(house.cast.admin)
    for days, late, reopens in ((0, 1, False), (1, 1, True), (30, 29, True), (2, 3, False), (0, 0, True)):
        path = f"/v1/workspaces/{house.cast.workspace_id}"
        assert client.patch(path, json={"reopen_window_days": days}).status_code == 200
        ticket = close(house, house.ticket())
        house.clock.advance(days=late)
        comment = said(house, ticket, contact_id=SAM)
        assert (comment["ticket_id"] == ticket["id"]) is reopens, (days, late)


def test_an_agent_may_reopen_long_after_the_window(house: House, window: int) -> None:
    ticket = close(house, house.ticket())
    house.clock.advance(days=1000)
    answer = house.client(house.cast.agent_key).put(f"/v1/tickets/{ticket['id']}/reopen")
    assert answer.status_code == 200


def test_a_follow_up_sent_again_is_opened_once(house: House, window: int) -> None:
    ticket = close(house, house.ticket(contact_id=SAM))
    house.clock.advance(days=30)
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}/comments"
    body, headers = {"body": "Again", "contact_id": SAM}, {"Idempotency-Key": "follow-up-once"}
    answers = [client.post(path, json=body, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["ticket_id"] for answer in answers}) == 1
    assert house.sql("SELECT count(*) FROM tickets WHERE follow_up_of = %s", (ticket["id"],)) == [(1,)]


# The first response


def test_only_a_users_public_comment_is_the_first_response(house: House) -> None:
    ticket = house.ticket(priority=1)
    others: list[dict[str, Any]] = [
        {}, {"visibility": "internal"}, {"contact_id": SAM},
        {"user_id": "user_bob_jones", "visibility": "internal"},
    ]  # fmt: skip
    for fields in others:
        house.clock.advance(minutes=1)
        said(house, ticket, **fields)
        assert get(house, ticket)["sla"]["first_response_at"] is None, fields
    house.clock.advance(minutes=1)
    answer = said(house, ticket, user_id="user_bob_jones")
    sla = get(house, ticket)["sla"]
    assert (sla["first_response_at"], sla["response_met"]) == (answer["created_at"], True)
    house.clock.advance(minutes=1)
    said(house, ticket, house.cast.agent_key)
    assert get(house, ticket)["sla"]["first_response_at"] == answer["created_at"]


def test_a_response_after_the_due_moment_is_missed(house: House) -> None:
    ticket = house.ticket(priority=1)
    house.clock.advance(hours=1, seconds=1)
    comment = said(house, ticket, house.cast.agent_key)
    sla = get(house, ticket)["sla"]
    assert (sla["first_response_at"], sla["response_met"], sla["breached"]) == (comment["created_at"], False, True)


def test_a_status_change_is_no_response(house: House) -> None:
    ticket = house.ticket()
    client = house.client(house.cast.agent_key)
    client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "in_progress", "internal_note": "Looking"})
    assert get(house, ticket)["sla"]["first_response_at"] is None
