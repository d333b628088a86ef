"""Files on tickets and comments: named in `attachment_ids`, shown with them, each attached once and to its customer."""

import threading
from typing import Any

import httpx
import pytest
from attachments.uploads import FIELDS, get, upload
from conftest import House
from kit import close, listed, missing_ticket, problem, wrong_fields

ITEM = {"id", "name", "content_type", "size"}
SAM = "contact_sam_taylor"


@pytest.fixture(scope="module")
def eve(house: House) -> str:
    """Another customer of the same workspace."""
    answer = house.client(house.cast.admin).post("/v1/contacts", json={"name": "Eve", "email": "eve@example.com"})
    return str(answer.json()["data"]["id"])


def say(house: House, ticket: dict[str, Any], *ids: str, **body: Any) -> httpx.Response:
    told = {"body": "See the file.", "attachment_ids": list(ids), **body}
    return house.client(house.cast.admin).post(f"/v1/tickets/{ticket['id']}/comments", json=told)


def opened(house: House, *ids: str, **body: Any) -> httpx.Response:
    told = {"subject": "S", "description": "D", "attachment_ids": list(ids), **body}
    return house.client(house.cast.admin).post("/v1/tickets", json=told)


def files_of(house: House, ticket: dict[str, Any]) -> list[dict[str, Any]]:
    return listed(house, ticket, "attachments")


def free(house: House, made: dict[str, Any]) -> bool:
    path = f"/v1/attachments/{made['id']}/details"
    return house.client(house.cast.reader).get(path).json()["data"]["ticket_id"] is None


def test_files_of_a_new_ticket(house: House) -> None:
    made = [upload(house, name="a.txt"), upload(house, name="b.txt")]
    ticket = opened(house, *(one["id"] for one in made)).json()["data"]
    found = files_of(house, ticket)
    assert [one["name"] for one in found] == ["a.txt", "b.txt"]
    for one in found:
        assert set(one) == FIELDS
        assert (one["ticket_id"], one["comment_id"], one["visibility"]) == (ticket["id"], None, "public")
        assert get(house, one).content == b"words"
    (event,) = listed(house, ticket, "events")
    assert [set(one) for one in event["data"]["attachments"]] == [ITEM, ITEM]


def test_files_of_a_comment(house: House) -> None:
    ticket = house.ticket()
    made = upload(house, b"the screenshot", "screen.txt")
    comment = say(house, ticket, made["id"], visibility="internal").json()["data"]
    assert comment["attachments"] == [{name: made[name] for name in ITEM}]
    say(house, ticket)
    path = f"/v1/tickets/{ticket['id']}/comments"
    shown = house.client(house.cast.reader).get(path).json()["data"]
    assert [one["attachments"] for one in shown] == [comment["attachments"], []]
    (found,) = files_of(house, ticket)
    assert (found["comment_id"], found["visibility"]) == (comment["id"], "internal")
    event = next(one for one in listed(house, ticket, "events") if one["event_type"] == "ticket.commented")
    assert event["data"]["comment"]["attachments"] == comment["attachments"]


def test_a_customers_comment_makes_its_files_the_customers(house: House) -> None:
    ticket, made = house.ticket(contact_id=SAM), upload(house)
    assert say(house, ticket, made["id"], contact_id=SAM).status_code == 201
    assert files_of(house, ticket)[0]["contact_id"] == SAM


def test_without_files_nothing_changes(house: House) -> None:
    for told in ({}, {"attachment_ids": None}, {"attachment_ids": []}):
        assert files_of(house, house.ticket(**told)) == []


def test_the_list_of_a_ticket_is_paged_and_guarded(house: House) -> None:
    ticket = opened(house, *(upload(house)["id"] for _ in range(3))).json()["data"]
    client = house.client(house.cast.reader)
    page = client.get(f"/v1/tickets/{ticket['number']}/attachments", params={"per_page": 2, "page": 2}).json()
    assert (len(page["data"]), page["meta"]["total"]) == (1, 3)
    missing_ticket(client.get("/v1/tickets/nope/attachments"))


BAD_LISTS: list[Any] = ["x", 1, {}, [1], [None], [""], ["a" * 65], ["a\x00"], [f"att_{n}" for n in range(21)]]


@pytest.mark.parametrize("value", BAD_LISTS, ids=str)
def test_what_is_no_list_of_ids(house: House, value: Any) -> None:
    for answer in (opened(house, attachment_ids=value), say(house, house.ticket(), attachment_ids=value)):
        assert {name.partition(".")[0] for name in wrong_fields(answer)} == {"attachment_ids"}


def test_twenty_are_taken_and_none_twice(house: House) -> None:
    ids = [upload(house)["id"] for _ in range(20)]
    assert wrong_fields(opened(house, *ids, ids[0])) == {"attachment_ids"}
    assert wrong_fields(opened(house, ids[0], ids[0])) == {"attachment_ids"}
    assert len(files_of(house, opened(house, *ids).json()["data"])) == 20


def test_an_id_that_cannot_be_attached_is_named_by_its_place(house: House) -> None:
    good, used = upload(house), upload(house)
    foreign = upload(house, key=house.cast.stranger)
    house.ticket(attachment_ids=[used["id"]])
    ids = [good["id"], "att_nobody", used["id"], foreign["id"]]
    named = {"attachment_ids.1", "attachment_ids.2", "attachment_ids.3"}
    ticket = house.ticket()
    before = house.sql("SELECT count(*) FROM tickets")
    assert wrong_fields(opened(house, *ids)) == named
    assert wrong_fields(say(house, ticket, *ids)) == named
    assert wrong_fields(opened(house, "att_nobody", assigned_to="nobody")) == {"attachment_ids.0", "assigned_to"}
    assert house.sql("SELECT count(*) FROM tickets") == before
    assert files_of(house, ticket) == []
    assert free(house, good)


def test_a_file_of_one_customer_never_comes_to_another(house: House, eve: str) -> None:
    made = upload(house, contact_id=SAM)
    of_sam, of_eve, of_nobody = house.ticket(contact_id=SAM), house.ticket(contact_id=eve), house.ticket()
    for answer in (
        say(house, of_sam, made["id"], contact_id=eve),
        say(house, of_eve, made["id"], contact_id=eve),
        say(house, of_eve, made["id"]),
        say(house, of_eve, made["id"], visibility="internal"),
        say(house, of_nobody, made["id"]),
        opened(house, made["id"], contact_id=eve),
        opened(house, made["id"]),
    ):
        assert wrong_fields(answer) == {"attachment_ids.0"}
    assert free(house, made)
    assert say(house, of_sam, made["id"], contact_id=SAM).status_code == 201


def test_a_comment_that_is_refused_leaves_the_file_free(house: House) -> None:
    made, ticket = upload(house), house.ticket()
    client = house.client(house.cast.admin)
    body = {"body": "x", "attachment_ids": [made["id"]]}
    missing_ticket(client.post("/v1/tickets/nope/comments", json=body))
    answer = client.post(f"/v1/tickets/{ticket['id']}/comments", json=body, headers={"If-Match": '"99"'})
    problem(answer, 412, "precondition_failed", "stale_ticket")
    assert free(house, made)


def test_a_late_reply_takes_its_file_to_the_follow_up(house: House) -> None:
    ticket, made = house.ticket(contact_id=SAM), upload(house, contact_id=SAM)
    close(house, ticket)
    house.clock.advance(days=30)
    comment = say(house, ticket, made["id"], contact_id=SAM).json()["data"]
    assert comment["ticket_id"] != ticket["id"]
    assert files_of(house, ticket) == []
    assert [one["id"] for one in files_of(house, {"id": comment["ticket_id"]})] == [made["id"]]


def test_two_at_once_and_exactly_one_gets_the_file(house: House) -> None:
    for _ in range(8):
        made, other = upload(house), upload(house)
        ticket, told = house.ticket(), []
        orders = [(made["id"], other["id"]), (other["id"], made["id"])]

        def race(ids: tuple[str, ...], ticket: dict[str, Any] = ticket, told: list[int] = told) -> None:
            path = f"{house.url}/v1/tickets/{ticket['id']}/comments"
            headers = {"Authorization": f"Bearer {house.cast.admin}"}
            body = {"body": "mine", "attachment_ids": list(ids)}
            told.append(httpx.post(path, json=body, headers=headers, timeout=30).status_code)

        racers = [threading.Thread(target=race, args=[ids]) for ids in orders]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert sorted(told) == [201, 422]
        assert len({one["comment_id"] for one in files_of(house, ticket)}) == 1
        assert len(files_of(house, ticket)) == 2


def test_an_idempotent_comment_attaches_once(house: House) -> None:
    ticket, made = house.ticket(), upload(house)
    client = house.client(house.cast.admin)
    body = {"body": "x", "attachment_ids": [made["id"]]}
    told = [
        client.post(f"/v1/tickets/{ticket['id']}/comments", json=body, headers={"Idempotency-Key": "c1"})
        for _ in range(2)
    ]
    assert told[0].content == told[1].content
    assert len(files_of(house, ticket)) == 1
