"""The feed: everything that happened, in one order, complete for whoever reads along."""

import asyncio
import threading
import time
from typing import Any

import psycopg
import pytest
from conftest import House, run_with
from kit import close, forbidden, mint, missing_ticket, reopen, wrong_fields

from ticketry.core.actor import system
from ticketry.db.pool import Tx
from ticketry.feed import service
from ticketry.tickets import service as tickets
from ticketry.tickets.models import CloseIn, TicketPatch

PATH = "/v1/events"


def feed(house: House, key: str | None = None, **asked: Any) -> dict[str, Any]:
    answer = house.client(key or house.cast.admin).get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def end(house: House) -> str | None:
    """The last event there is."""
    after, more = None, True
    while more:
        meta = feed(house, limit=500, **({"after": after} if after else {}))["meta"]
        after, more = meta["next_after"], meta["has_more"]
    return after


def news(house: House, after: str | None, **asked: Any) -> list[dict[str, Any]]:
    """What came after an event."""
    found: list[dict[str, Any]] = feed(house, **({"after": after} if after else {}), **asked)["data"]
    return found


def test_an_event_is_the_one_that_history_shows(house: House) -> None:
    after = end(house)
    ticket = close(house, house.ticket(assigned_to=house.cast.agent_id))
    history = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/events").json()["data"]
    assert news(house, after) == history
    assert [event["event_type"] for event in history] == ["ticket.created", "ticket.assigned", "ticket.closed"]
    assert history[-1]["data"]["ticket"] == ticket


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_join_without_gap_or_double(house: House, limit: int) -> None:
    after = end(house)
    for _ in range(3):
        close(house, house.ticket())
    whole = [event["event_id"] for event in news(house, after)]
    assert len(whole) == 6
    seen: list[str] = []
    more = True
    while more:
        page = feed(house, limit=limit, **({"after": after} if after else {}))
        seen += [event["event_id"] for event in page["data"]]
        assert len(page["data"]) <= limit
        after, more = page["meta"]["next_after"], page["meta"]["has_more"]
    assert seen == whole
    assert feed(house, after=after) == {"data": [], "meta": {"next_after": after, "has_more": False}}


def test_types_are_chosen_and_others_passed_over(house: House) -> None:
    after = end(house)
    ticket = close(house, house.ticket())
    reopen(house, ticket)
    page = feed(house, after=after, types="ticket.closed,ticket.reopened")
    assert [event["event_type"] for event in page["data"]] == ["ticket.closed", "ticket.reopened"]
    passed = feed(house, after=after, types="ticket.rated")
    assert passed == {"data": [], "meta": {"next_after": end(house), "has_more": False}}
    close(house, ticket)
    first = feed(house, after=after, types="ticket.closed", limit=1)
    assert first["meta"]["next_after"] == first["data"][0]["event_id"]


def test_a_rare_type_is_found_behind_thousands_of_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ticketry.feed.store.SCANNED", 3)
    after = end(house)
    for _ in range(4):
        house.ticket()
    close(house, house.ticket())
    found: list[str] = []
    rounds, more = 0, True
    while more:
        page = feed(house, after=after, types="ticket.closed")
        found += [event["event_type"] for event in page["data"]]
        after, more, rounds = page["meta"]["next_after"], page["meta"]["has_more"], rounds + 1
    assert (found, rounds) == (["ticket.closed"], 3)


def test_one_ticket_by_id_or_number(house: House) -> None:
    after = end(house)
    mine, other = house.ticket(), house.ticket()
    close(house, mine)
    for reference in (mine["id"], mine["number"]):
        events = news(house, after, ticket_id=reference)
        assert [(e["event_type"], e["ticket_id"]) for e in events] == [
            ("ticket.created", mine["id"]),
            ("ticket.closed", mine["id"]),
        ]
    assert [e["ticket_id"] for e in news(house, events[0]["event_id"], types="ticket.created")] == [other["id"]]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"after": "evt_nothing"}, "after"),
        ({"types": "ticket.exploded"}, "types"),
        ({"types": ""}, "types"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"wait": 31}, "wait"),
        ({"wait": -1}, "wait"),
        ({"ticket_id": ""}, "ticket_id"),
        ({"page": 2}, "page"),
    ],
)
def test_wrong_questions_name_the_parameter(house: House, asked: dict[str, Any], field: str) -> None:
    assert wrong_fields(house.client(house.cast.admin).get(PATH, params=asked)) == {field}


def test_edges_are_accepted(house: House) -> None:
    house.ticket()
    assert len(feed(house, limit=1, wait=30)["data"]) == 1
    assert feed(house, limit=500, wait=0)["data"]


def test_strangers_see_nothing(house: House) -> None:
    ticket = house.ticket()
    last = end(house)
    stranger = house.client(house.cast.stranger)
    assert wrong_fields(stranger.get(PATH, params={"after": last})) == {"after"}
    missing_ticket(stranger.get(PATH, params={"ticket_id": ticket["id"]}))
    assert ticket["id"] not in stranger.get(PATH).text
    key = mint(house, "tickets:read", "tickets:write")
    forbidden(house.client(key).get(PATH), "events:read")


# ---- order under concurrent writers


def test_what_is_not_settled_is_held_back(house: House) -> None:
    """A transaction that began earlier and commits later does not slip in behind a reader who went past."""
    after = end(house)
    ticket, slow = house.ticket(), house.ticket()
    shown = len(news(house, after))
    with psycopg.connect(house.database_url) as early:
        early.execute("UPDATE tickets SET category = 'x' WHERE id = %s", (slow["id"],))
        early.execute(
            """INSERT INTO events
                   (workspace_id, id, type, ticket_id, actor_type, actor_id, actor_name, created_at, data)
               VALUES (%s, 'evt_slow', 'ticket.updated', %s, 'system', 's', 's', now(), '{}')""",
            (house.cast.workspace_id, slow["id"]),
        )
        close(house, ticket)
        assert len(news(house, after)) == shown
        early.commit()
    assert [e["event_type"] for e in news(house, after)][shown:] == ["ticket.updated", "ticket.closed"]


def test_one_tickets_events_keep_their_order(house: House) -> None:
    """A transaction may take its number long before it gets at the ticket."""
    after = end(house)
    ticket = house.ticket()

    async def late(tx: Tx) -> None:
        await tx.one("SELECT pg_current_xact_id()::text")
        await asyncio.to_thread(close, house, ticket)
        actor = system(house.cast.workspace_id)
        await tickets.update(tx, actor, ticket["id"], TicketPatch(status="reopened"))
        await tickets.close(tx, actor, ticket["id"], CloseIn())

    run_with(house.database_url, late)
    history = house.client(house.cast.admin).get(f"/v1/tickets/{ticket['id']}/events").json()["data"]
    told = news(house, after)
    assert [e["event_type"] for e in told] == ["ticket.created", "ticket.closed", "ticket.reopened", "ticket.closed"]
    assert told == history == news(house, after, ticket_id=ticket["id"])


WRITERS = 8
EACH = 6_250
TOGETHER = 25
"""Events of one transaction."""


def _write(house: House, writer: int, ticket: str) -> None:
    query = """INSERT INTO events
                   (workspace_id, id, type, ticket_id, actor_type, actor_id, actor_name, created_at, data)
               SELECT %s, format('evt_%%s_%%s', %s::int, %s + n), 'ticket.updated', %s, 'system', 's', 's', now(), '{}'
               FROM generate_series(1, %s) AS n"""
    with psycopg.connect(house.database_url) as conn:
        for start in range(0, EACH, TOGETHER):
            first = 1 + (start // TOGETHER) % 5
            conn.execute(query, (house.cast.workspace_id, writer, start, ticket, first))
            time.sleep(0.002 * ((writer + start) % 3))  # others commit meanwhile
            conn.execute(query, (house.cast.workspace_id, writer, start + first, ticket, TOGETHER - first))
            conn.commit()


def test_readers_who_follow_miss_nothing_and_see_nothing_twice(house: House) -> None:
    """8 writers, 50,000 events, three readers that read all the time in steps of their own."""
    after = end(house)
    tickets_ = [house.ticket()["id"] for _ in range(WRITERS)]
    after = end(house) or after
    writers = [threading.Thread(target=_write, args=(house, n, ticket)) for n, ticket in enumerate(tickets_)]
    seen: dict[int, list[str]] = {}

    client = house.client(house.cast.reader)

    def read(limit: int, wait: int) -> None:
        place, ids = after, seen.setdefault(limit, [])
        while len(ids) < WRITERS * EACH:
            page = client.get(PATH, params={"after": place, "limit": limit, "wait": wait}).json()
            ids += [event["event_id"] for event in page["data"]]
            place = page["meta"]["next_after"]
            if not page["data"] and not any(writer.is_alive() for writer in writers):
                break

    readers = [threading.Thread(target=read, args=given) for given in ((500, 0), (499, 1), (333, 0))]
    for thread in writers + readers:
        thread.start()
    for thread in writers + readers:
        thread.join(120)
    wanted = {f"evt_{writer}_{n + 1}" for writer in range(WRITERS) for n in range(EACH)}
    for ids in seen.values():
        assert len(ids) == len(set(ids)) == WRITERS * EACH
        assert set(ids) == wanted
    first, *others = seen.values()
    assert all(other == first for other in others)
    for writer in range(WRITERS):
        own = [int(one.rpartition("_")[2]) for one in first if one.startswith(f"evt_{writer}_")]
        assert own == sorted(own)


# ---- waiting for news


def hand_on(house: House) -> int | None:
    """One round of the relay, without subscribers."""

    async def work(tx: Tx) -> int | None:
        return await service.hand_on(tx, ())

    return run_with(house.database_url, work)


def test_who_waits_gets_the_news_when_it_comes(house: House) -> None:
    after = end(house)
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(feed(house, after=after, wait=30)))
    waiting.start()
    time.sleep(0.2)
    assert not answers
    ticket = house.ticket()
    hand_on(house)
    waiting.join(20)
    assert [event["ticket_id"] for event in answers[0]["data"]] == [ticket["id"]]


def test_waiting_ends_without_news(house: House) -> None:
    after = end(house)
    assert feed(house, after=after, wait=1) == {"data": [], "meta": {"next_after": after, "has_more": False}}


def test_many_who_wait_hold_no_connection(house: House) -> None:
    """More long polls than the pool has connections do not keep others out."""
    after = end(house)
    done: list[dict[str, Any]] = []
    waiting = [threading.Thread(target=lambda: done.append(feed(house, after=after, wait=20))) for _ in range(40)]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    house.ticket()
    hand_on(house)
    for thread in waiting:
        thread.join(25)
    assert len(done) == 40
    assert all(len(page["data"]) == 1 for page in done)
