"""Links between tickets: seen from both ends, told in both histories, never twice, never in a circle."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import psycopg
import pytest
from conftest import House
from kit import (
    JSON,
    close,
    forbidden,
    get,
    listed,
    missing_ticket,
    problem,
    raw,
    reopen,
    stored,
    strings_between,
    wrong_fields,
)

from ticketry.db.pool import Tx
from ticketry.tickets.links.models import BACK

SAM = "contact_sam_taylor"
OWN = ("follow_up_of", "duplicate_of", "related_to")


def post(house: House, one: dict[str, Any], kind: str, other: str, by: str | None = None) -> httpx.Response:
    body = {"type": kind, "ticket_id": other}
    return house.client(by or house.cast.admin).post(f"/v1/tickets/{one['id']}/links", json=body)


def link(house: House, one: dict[str, Any], kind: str, other: dict[str, Any]) -> dict[str, Any]:
    answer = post(house, one, kind, other["id"])
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


def unlink(house: House, one: dict[str, Any], kind: str, other: str, **headers: str) -> httpx.Response:
    path = f"/v1/tickets/{one['id']}/links/{kind}/{other}"
    return house.client(house.cast.admin).delete(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def links(house: House, ticket: dict[str, Any]) -> list[tuple[str, str]]:
    return [(found["type"], found["number"]) for found in listed(house, ticket, "links")]


def tickets(house: House, count: int) -> list[dict[str, Any]]:
    return [house.ticket() for _ in range(count)]


@pytest.mark.parametrize("kind", OWN)
def test_a_link_is_seen_from_both_ends_and_told_in_both_histories(house: House, kind: str) -> None:
    one, other = tickets(house, 2)
    made = link(house, one, kind, other)
    assert made == {
        "type": kind, "ticket_id": other["id"], "number": other["number"], "subject": other["subject"],
        "status": other["status"], "original": None,
    }  # fmt: skip
    assert listed(house, one, "links") == [made]
    assert listed(house, other, "links") == [
        {**made, "type": BACK[kind], "ticket_id": one["id"], "number": one["number"]}  # type: ignore[index]
    ]
    for ticket, seen, end in ((one, kind, other), (other, BACK[kind], one)):  # type: ignore[index]
        event = listed(house, ticket, "events")[-1]
        told = {"type": seen, "ticket_id": end["id"], "number": end["number"]}
        field = {seen: {"from": None, "to": end["id"]}} if seen in OWN[:2] else {}
        assert event["event_type"] == "ticket.updated"
        assert event["data"]["changes"] == {"links": {"from": None, "to": told}, **field}
    for name in ("follow_up_of", "duplicate_of"):
        assert get(house, one)[name] == (other["id"] if name == kind else None)
        assert get(house, other)[name] is None


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("from_other_end", [False, True])
def test_a_link_is_removed_from_either_end(house: House, kind: str, from_other_end: bool) -> None:
    one, other = tickets(house, 2)
    link(house, one, kind, other)
    if from_other_end:
        answer = unlink(house, other, BACK[kind], one["number"])  # type: ignore[index]
    else:
        answer = unlink(house, one, kind, other["number"].lower())
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["type"] == (BACK[kind] if from_other_end else kind)  # type: ignore[index]
    assert links(house, one) == links(house, other) == []
    assert get(house, one)["duplicate_of"] is get(house, one)["follow_up_of"] is None
    for ticket in (one, other):
        change = listed(house, ticket, "events")[-1]["data"]["changes"]["links"]
        assert change["from"] is not None
        assert change["to"] is None
    problem(unlink(house, one, kind, other["id"]), 404, "not_found", "link_not_found")
    link(house, one, kind, other)


def test_numbers_stand_for_ids_and_closed_tickets_can_be_linked(house: House) -> None:
    one, other = close(house, house.ticket()), close(house, house.ticket())
    assert post(house, {"id": one["number"]}, "related_to", other["number"].lower()).status_code == 201
    assert links(house, one) == [("related_to", other["number"])]


def test_links_come_in_order_and_in_pages(house: House) -> None:
    hub, *others = tickets(house, 8)
    link(house, others[0], "related_to", hub)
    link(house, hub, "related_to", others[1])
    link(house, others[3], "duplicate_of", hub)
    link(house, others[2], "duplicate_of", hub)
    link(house, hub, "duplicate_of", others[4])
    link(house, others[5], "follow_up_of", hub)
    link(house, hub, "follow_up_of", others[6])
    kinds = ["duplicate_of", "duplicated_by", "duplicated_by", "follow_up_of", "followed_up_by", "related_to"]
    expected = list(zip([*kinds, "related_to"], [others[n]["number"] for n in (4, 2, 3, 6, 5, 0, 1)], strict=True))
    assert links(house, hub) == expected
    client, path = house.client(house.cast.reader), f"/v1/tickets/{hub['id']}/links"
    seen = []
    for page in (1, 2, 3, 4):
        body = client.get(path, params={"page": page, "per_page": 2}).json()
        assert body["meta"] == {"total": 7, "page": page, "per_page": 2, "total_pages": 4}
        seen += [(found["type"], found["number"]) for found in body["data"]]
    assert seen == expected


@pytest.mark.parametrize("kind", OWN)
def test_no_link_to_oneself(house: House, kind: str) -> None:
    one = house.ticket()
    before = stored(house)
    for name in (one["id"], one["number"], one["number"].lower()):
        assert wrong_fields(post(house, one, kind, name)) == {"ticket_id"}
    assert stored(house) == before


@pytest.mark.parametrize("kind", OWN)
def test_no_link_twice(house: House, kind: str) -> None:
    one, other = tickets(house, 2)
    link(house, one, kind, other)
    before = stored(house)
    error = problem(post(house, one, kind, other["id"]), 409, "conflict", "link_exists")
    assert (error["link_type"], error["ticket_id"]) == (kind, other["id"])
    if kind == "related_to":
        problem(post(house, other, kind, one["id"]), 409, "conflict", "link_exists")
    assert stored(house) == before


@pytest.mark.parametrize("kind", OWN[:2])
def test_one_original_and_one_predecessor_at_the_most(house: House, kind: str) -> None:
    one, first, second = tickets(house, 3)
    link(house, one, kind, first)
    error = problem(post(house, one, kind, second["id"]), 409, "conflict", "link_exists")
    assert error["ticket_id"] == first["id"]
    assert unlink(house, one, kind, first["id"]).status_code == 200
    link(house, one, kind, second)


def test_links_of_other_kinds_between_the_same_two_are_other_links(house: House) -> None:
    one, other = tickets(house, 2)
    for kind in OWN:
        link(house, one, kind, other)
    assert len(links(house, one)) == 3


@pytest.mark.parametrize("kind", OWN[:2])
def test_no_circle(house: House, kind: str) -> None:
    chain = tickets(house, 4)
    for one, other in pairwise(chain):
        link(house, one, kind, other)
    before = stored(house)
    for end in chain[:3]:
        problem(post(house, chain[3], kind, end["id"]), 409, "conflict", "link_cycle")
    assert stored(house) == before


def test_who_names_a_duplicate_is_linked_to_its_original(house: House) -> None:
    first, middle, last, late = tickets(house, 4)
    link(house, first, "duplicate_of", middle)
    link(house, middle, "duplicate_of", last)
    made = link(house, late, "duplicate_of", first)
    assert (made["number"], made["original"]) == (last["number"], None)
    (shown,) = listed(house, first, "links")
    assert shown["number"] == middle["number"]
    assert shown["original"] == {"ticket_id": last["id"], "number": last["number"]}
    assert [kind for kind, _ in links(house, middle)] == ["duplicate_of", "duplicated_by"]


def test_the_database_refuses_circles_whichever_way_they_come(house: House) -> None:
    one, other, third = tickets(house, 3)
    for kind in OWN[:2]:
        house.sql(f"UPDATE tickets SET {kind} = %s WHERE id = %s", (other["id"], one["id"]))
        house.sql(f"UPDATE tickets SET {kind} = %s WHERE id = %s", (third["id"], other["id"]))
        for end in (one, other, third):
            with pytest.raises(psycopg.IntegrityError):
                house.sql(f"UPDATE tickets SET {kind} = %s WHERE id = %s", (end["id"], third["id"]))


@pytest.mark.parametrize("kind", OWN[:2])
def test_racing_links_never_close_a_circle(house: House, kind: str) -> None:
    """Each of a ring points to the next at the same moment, round after round: all but one come through."""
    for _ in range(6):
        ring = tickets(house, 4)
        start = threading.Barrier(len(ring))

        def point(n: int, ring: list[dict[str, Any]] = ring, start: threading.Barrier = start) -> int:
            with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
                client.get("/healthz")
                start.wait()
                body = {"type": kind, "ticket_id": ring[(n + 1) % len(ring)]["id"]}
                return client.post(f"/v1/tickets/{ring[n]['id']}/links", json=body, timeout=30).status_code

        with ThreadPoolExecutor(len(ring)) as threads:
            answers = sorted(threads.map(point, range(len(ring))))
        assert answers == [201, 201, 201, 409]
        held = {ticket["id"]: get(house, ticket)[kind] for ticket in ring}
        assert len([end for end in held.values() if end is None]) == 1
        for begin in held:
            end, steps = held[begin], 0
            while end is not None and steps < 9:
                end, steps = held[end], steps + 1
            assert end is None, held


def test_racing_duplicate_closes_of_each_other(house: House) -> None:
    """Two tickets closed as duplicates of each other at once: one is the duplicate, and nobody waits in a circle."""
    for _ in range(5):
        pair = tickets(house, 2)
        start = threading.Barrier(2)

        def shut(n: int, pair: list[dict[str, Any]] = pair, start: threading.Barrier = start) -> int:
            with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
                start.wait()
                path = f"/v1/tickets/{pair[n]['id']}/close"
                return client.put(path, json={"duplicate_of": pair[1 - n]["number"]}, timeout=30).status_code

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(shut, range(2))) == [200, 409]
        assert len([ticket for ticket in pair if get(house, ticket)["duplicate_of"]]) == 1


def test_who_waits_to_link_takes_no_connection_from_others(house: House) -> None:
    """More closes as a duplicate than the server has connections wait for each other: everybody else is served."""
    original, duplicates = house.ticket(), tickets(house, 30)

    def shut(ticket: dict[str, Any]) -> int:
        with httpx.Client(base_url=house.url, headers={"Authorization": f"Bearer {house.cast.admin}"}) as client:
            body = {"duplicate_of": original["id"]}
            return client.put(f"/v1/tickets/{ticket['id']}/close", json=body, timeout=30).status_code

    with psycopg.connect(house.database_url) as conn, ThreadPoolExecutor(30) as threads:
        lock = "SELECT pg_advisory_xact_lock(hashtextextended('links/' || %s, 0))"
        conn.execute(lock, (house.cast.workspace_id,))
        answers = [threads.submit(shut, ticket) for ticket in duplicates]
        for _ in range(20):
            answer = house.client(house.cast.stranger).get("/v1/tickets", timeout=2)
            assert answer.status_code == 200
        assert not any(one.done() for one in answers)
        conn.rollback()
        assert {one.result() for one in answers} == {200}
    assert len(links(house, original)) == 30


def test_a_late_reply_is_a_link_too(house: House) -> None:
    ticket = close(house, house.ticket(contact_id=SAM))
    house.clock.advance(days=20)
    path = f"/v1/tickets/{ticket['id']}/comments"
    said = house.client(house.cast.admin).post(path, json={"body": "Again", "contact_id": SAM}).json()["data"]
    follow_up = get(house, {"id": said["ticket_id"]})
    assert links(house, follow_up) == [("follow_up_of", ticket["number"])]
    assert links(house, ticket) == [("followed_up_by", follow_up["number"])]
    assert unlink(house, ticket, "followed_up_by", follow_up["id"]).status_code == 200
    assert get(house, follow_up)["follow_up_of"] is None


def test_if_match_is_of_the_ticket_in_the_path(house: House) -> None:
    one, other = tickets(house, 2)
    client, path = house.client(house.cast.admin), f"/v1/tickets/{one['id']}/links"
    body = {"type": "related_to", "ticket_id": other["id"]}
    error = problem(
        client.post(path, json=body, headers={"If-Match": '"9"'}), 412, "precondition_failed", "stale_ticket"
    )
    assert client.post(path, json=body, headers={"If-Match": error["current"]}).status_code == 201
    problem(unlink(house, one, "related_to", other["id"], If_Match='"1"'), 412, "precondition_failed", "stale_ticket")
    problem(unlink(house, one, "duplicate_of", other["id"], If_Match='"1"'), 404, "not_found", "link_not_found")
    assert unlink(house, one, "related_to", other["id"], If_Match='"2"').status_code == 200


def test_what_is_wrong_is_named(house: House) -> None:
    one, other = tickets(house, 2)
    before = stored(house)
    client, path = house.client(house.cast.admin), f"/v1/tickets/{one['id']}/links"
    assert wrong_fields(client.post(path, json={})) == {"type", "ticket_id"}
    for kind in ("duplicated_by", "followed_up_by", "blocks", "", None, 1, ["related_to"]):
        assert wrong_fields(client.post(path, json={"type": kind, "ticket_id": other["id"]})) == {"type"}
    _, bad = strings_between(1, 64)
    for value in (*bad, "ticket_nothing", "TICK-999999", None):
        answer = client.post(path, content=raw({"type": "related_to", "ticket_id": value}), headers=JSON)
        assert wrong_fields(answer) == {"ticket_id"}, value
    assert wrong_fields(client.post(path, json={"type": "related_to", "ticket_id": other["id"], "x": 1})) == {"x"}
    assert wrong_fields(unlink(house, one, "blocks", other["id"])) == {"link_type"}
    assert stored(house) == before


def test_what_is_not_there_or_not_ones_own(house: House) -> None:
    one, other = tickets(house, 2)
    link(house, one, "related_to", other)
    missing_ticket(post(house, {"id": "ticket_nothing"}, "related_to", other["id"]))
    stranger = house.client(house.cast.stranger)
    missing_ticket(stranger.get(f"/v1/tickets/{one['id']}/links"))
    missing_ticket(stranger.delete(f"/v1/tickets/{one['id']}/links/related_to/{other['id']}"))
    assert wrong_fields(post(house, one, "related_to", other["id"], house.cast.stranger)) == {"ticket_id"}
    problem(unlink(house, one, "related_to", "ticket_nothing"), 404, "not_found", "link_not_found")
    missing_ticket(unlink(house, {"id": "ticket_nothing"}, "related_to", other["id"]))
    forbidden(post(house, one, "related_to", other["id"], house.cast.reader), "tickets:write")
    path = f"/v1/tickets/{one['id']}/links/related_to/{other['id']}"
    forbidden(house.client(house.cast.reader).delete(path), "tickets:write")
    assert links(house, one) == [("related_to", other["number"])]


# Closing as a duplicate


def test_closing_as_a_duplicate_says_so_everywhere(house: House) -> None:
    original, ticket = house.ticket(), house.ticket(contact_id=SAM)
    closed = close(house, ticket, duplicate_of=original["number"], root_cause="known", resolution_note="See there.")
    assert (closed["status"], closed["duplicate_of"]) == ("closed", original["id"])
    assert closed == get(house, ticket)
    assert links(house, ticket) == [("duplicate_of", original["number"])]
    assert links(house, original) == [("duplicated_by", ticket["number"])]
    (resolution,) = listed(house, ticket, "resolutions")
    assert (resolution["duplicate_of"], resolution["root_cause"]) == (original["id"], "known")
    (comment,) = listed(house, ticket, "comments")
    assert (comment["visibility"], comment["author"]["type"]) == ("public", "system")
    assert original["number"] in comment["body"]
    kinds = [event["event_type"] for event in listed(house, ticket, "events")]
    assert kinds == ["ticket.created", "ticket.commented", "ticket.closed"]
    data = listed(house, ticket, "events")[-1]["data"]
    told = {"type": "duplicate_of", "ticket_id": original["id"], "number": original["number"]}
    assert data["changes"]["duplicate_of"] == {"from": None, "to": original["id"]}
    assert data["changes"]["links"] == {"from": None, "to": told}
    assert data["resolution"] == resolution
    assert data["ticket"]["duplicate_of"] == original["id"]
    (note,) = listed(house, original, "comments")
    assert (note["visibility"], note["author"]["type"]) == ("internal", "system")
    assert ticket["number"] in note["body"]
    event = listed(house, original, "events")[-1]
    assert event["data"]["changes"]["links"]["to"]["type"] == "duplicated_by"
    assert get(house, original)["status"] == "new"


def test_it_is_no_response_of_a_person(house: House) -> None:
    original, ticket = tickets(house, 2)
    assert close(house, ticket, duplicate_of=original["id"])["sla"]["first_response_at"] is None
    assert get(house, original)["sla"]["first_response_at"] is None


def test_closing_names_the_final_original(house: House) -> None:
    original, middle, ticket = tickets(house, 3)
    close(house, middle, duplicate_of=original["id"])
    assert close(house, ticket, duplicate_of=middle["number"])["duplicate_of"] == original["id"]
    assert len(listed(house, original, "comments")) == 2
    assert len(listed(house, middle, "comments")) == 1


def test_a_ticket_that_is_linked_already_is_closed_as_that(house: House) -> None:
    original, other, ticket = tickets(house, 3)
    link(house, ticket, "duplicate_of", original)
    before = stored(house)
    answer = house.client(house.cast.admin).put(f"/v1/tickets/{ticket['id']}/close", json={"duplicate_of": other["id"]})
    assert problem(answer, 409, "conflict", "link_exists")["ticket_id"] == original["id"]
    assert stored(house) == before
    closed = close(house, ticket, duplicate_of=original["id"])
    assert closed["duplicate_of"] == original["id"]
    assert "links" not in listed(house, ticket, "events")[-1]["data"]["changes"]
    assert ticket["number"] in listed(house, original, "comments")[0]["body"]


def test_a_duplicate_may_be_closed_without_naming_the_original_again(house: House) -> None:
    original, ticket = tickets(house, 2)
    link(house, ticket, "duplicate_of", original)
    assert close(house, ticket)["duplicate_of"] == original["id"]
    assert listed(house, ticket, "resolutions")[0]["duplicate_of"] == original["id"]
    assert listed(house, ticket, "comments") == []


def test_a_reopened_duplicate_keeps_its_link_until_it_is_removed(house: House) -> None:
    original, ticket = tickets(house, 2)
    close(house, ticket, duplicate_of=original["id"])
    assert reopen(house, ticket)["duplicate_of"] == original["id"]
    assert unlink(house, ticket, "duplicate_of", original["id"]).status_code == 200
    assert close(house, ticket)["duplicate_of"] is None
    assert [one["duplicate_of"] for one in listed(house, ticket, "resolutions")] == [original["id"], None]


def test_what_a_duplicate_close_refuses_changes_nothing(house: House) -> None:
    original, ticket, closed = house.ticket(), house.ticket(), close(house, house.ticket())
    link(house, original, "duplicate_of", ticket)
    before = stored(house)
    client = house.client(house.cast.admin)

    def shut(one: dict[str, Any], of: Any, **headers: str) -> httpx.Response:
        return client.put(f"/v1/tickets/{one['id']}/close", json={"duplicate_of": of}, headers=headers)

    for of in ("ticket_nothing", "TICK-999999", "", "x" * 65, 1, ticket["number"]):
        assert wrong_fields(shut(ticket, of)) == {"duplicate_of"}
    assert wrong_fields(shut({"id": "ticket_nothing"}, "ticket_nothing")) == {"duplicate_of"}
    missing_ticket(shut({"id": "ticket_nothing"}, original["id"]))
    problem(shut(closed, original["id"]), 409, "conflict", "ticket_already_closed")
    stale = client.put(
        f"/v1/tickets/{ticket['id']}/close", json={"duplicate_of": closed["id"]}, headers={"If-Match": '"7"'}
    )
    problem(stale, 412, "precondition_failed", "stale_ticket")
    problem(shut(ticket, original["id"]), 409, "conflict", "link_cycle")
    assert stored(house) == before
    assert shut(ticket, None).status_code == 200


def test_a_plain_close_runs_no_statement_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    run = Tx._run

    async def noted(self: Tx, query: str, *rest: Any) -> Any:
        seen.append(query)
        return await run(self, query, *rest)

    ticket = house.ticket()
    get(house, ticket)  # the key is known now
    monkeypatch.setattr(Tx, "_run", noted)
    close(house, ticket, root_cause="x")
    assert len([query for query in seen if "api_keys" not in query]) == 2


# A customer's word on a closed duplicate


def say(house: House, ticket: dict[str, Any], **fields: Any) -> dict[str, Any]:
    path = f"/v1/tickets/{ticket['id']}/comments"
    answer = house.client(house.cast.admin).post(path, json={"body": "One thing more.", **fields})
    assert answer.status_code == 201, answer.text
    comment: dict[str, Any] = answer.json()["data"]
    return comment


def test_the_word_of_the_originals_own_customer_is_said_on_the_original(house: House) -> None:
    original, ticket = house.ticket(contact_id=SAM, assigned_to="user_jane_smith"), house.ticket(contact_id=SAM)
    house.client(house.cast.admin).patch(f"/v1/tickets/{original['id']}", json={"status": "waiting_on_customer"})
    closed = close(house, ticket, duplicate_of=original["id"])
    assert say(house, ticket, contact_id=SAM)["ticket_id"] == original["id"]
    assert get(house, original)["status"] == "open"
    assert get(house, ticket) == closed


def test_the_word_of_another_customer_stays_where_only_he_reads_it(house: House) -> None:
    house.client(house.cast.admin).post("/v1/contacts", json={"id": "contact_kim", "name": "Kim"})
    original, ticket = house.ticket(contact_id=SAM), house.ticket(contact_id="contact_kim")
    close(house, ticket, duplicate_of=original["id"])
    comment = say(house, ticket, contact_id="contact_kim", body="Secret of Kim")
    assert comment["ticket_id"] == ticket["id"]
    assert get(house, ticket)["status"] == "closed"
    notes = listed(house, original, "comments")
    assert [note["visibility"] for note in notes] == ["internal", "internal"]
    assert ticket["number"] in notes[1]["body"]
    assert all("Secret" not in note["body"] for note in notes)
    assert get(house, original)["status"] == "new"


def test_when_the_original_is_closed_too_a_word_reopens_the_duplicate(house: House) -> None:
    original, ticket = house.ticket(), house.ticket(contact_id=SAM)
    close(house, ticket, duplicate_of=original["id"])
    close(house, original)
    assert say(house, ticket, contact_id=SAM)["ticket_id"] == ticket["id"]
    assert get(house, ticket)["status"] == "reopened"
    assert get(house, original)["status"] == "closed"


def test_the_teams_comments_stay_on_the_duplicate(house: House) -> None:
    original, ticket = house.ticket(contact_id=SAM), house.ticket(contact_id=SAM)
    close(house, ticket, duplicate_of=original["id"])
    assert say(house, ticket, user_id="user_jane_smith")["ticket_id"] == ticket["id"]
    assert len(listed(house, original, "comments")) == 1


def test_a_duplicate_is_no_duplicate_of_itself(house: House) -> None:
    """Not before it is one of another ticket, and not afterwards."""
    ticket, original = house.ticket(), house.ticket()
    client, path = house.client(house.cast.admin), f"/v1/tickets/{ticket['id']}"
    for _ in range(2):
        error = client.put(f"{path}/close", json={"duplicate_of": ticket["number"]}).json()["error"]
        assert [(wrong["field"], wrong["code"]) for wrong in error["errors"]] == [("duplicate_of", "self_link")]
        body = {"type": "duplicate_of", "ticket_id": original["id"]}
        client.post(f"{path}/links", json=body)
    assert client.put(f"{path}/close", json={"duplicate_of": original["number"]}).status_code == 200
