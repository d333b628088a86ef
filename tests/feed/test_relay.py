"""The relay gives every event to the subscribers once, in the feed's order, however many relays run."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import House
from kit import close

from ticketry.db.pool import Tx, make_pool, unit
from ticketry.feed import service, store
from ticketry.feed.models import Settled


async def note(tx: Tx, events: Sequence[Settled]) -> None:
    """A subscriber that writes down what it is given."""
    for event in events:
        await tx.execute("INSERT INTO handed_on (workspace_id, id) VALUES (%s, %s)", (event.workspace_id, event.id))


def handed_on(house: House, workspace_id: str) -> list[str]:
    query = "SELECT id FROM handed_on WHERE workspace_id = %s ORDER BY n"
    return [row[0] for row in house.sql(query, (workspace_id,))]


def in_the_feed(house: House, key: str) -> list[str]:
    page = house.client(key).get("/v1/events", params={"limit": 500}).json()
    assert not page["meta"]["has_more"]
    return [event["event_id"] for event in page["data"]]


def relays(house: House, count: int, subscribers: tuple[Any, ...], rounds: int = 30) -> None:
    """Several relays at once, for some rounds."""

    async def one(pool: Any) -> None:
        for _ in range(rounds):
            async with unit(pool, house.clock()) as tx:
                await service.hand_on(tx, subscribers)

    async def all_of_them() -> None:
        async with make_pool(house.database_url, count) as pool:
            await asyncio.gather(*(one(pool) for _ in range(count)))

    asyncio.run(all_of_them())


def test_each_event_once_in_order(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "BATCH", 3)
    house.sql("CREATE TABLE handed_on (n bigint GENERATED ALWAYS AS IDENTITY, workspace_id text, id text)")
    stranger = house.client(house.cast.stranger)
    for _ in range(8):
        close(house, house.ticket())
        assert stranger.post("/v1/tickets", json={"subject": "s", "description": "d"}).status_code == 201
    relays(house, 4, (note,))
    assert handed_on(house, house.cast.workspace_id) == in_the_feed(house, house.cast.admin)
    assert handed_on(house, house.cast.stranger_workspace_id) == in_the_feed(house, house.cast.stranger)


def test_a_round_is_bounded_in_all_and_everybody_has_a_turn(house: House) -> None:
    """A busy workspace takes a whole round; the next round begins behind it."""
    stranger = house.client(house.cast.stranger)
    for _ in range(6):
        house.ticket()
        assert stranger.post("/v1/tickets", json={"subject": "s", "description": "d"}).status_code == 201
    rounds: list[list[str]] = []

    async def listen(_: Tx, events: Sequence[Settled]) -> None:
        rounds.append([event.workspace_id for event in events])

    async def hand_on() -> None:
        pace = service.Pace(4)
        async with make_pool(house.database_url, 1) as pool:
            for _ in range(3):
                async with unit(pool, house.clock()) as tx:
                    await service.hand_on(tx, (listen, note), pace)
                pace.slower()

    asyncio.run(hand_on())
    assert [len(one) for one in rounds] == [4, 4, 4]
    assert len({one[0] for one in rounds[:2]}) == 2, "two workspaces, one a round"
    relays(house, 1, (note,))
    assert handed_on(house, house.cast.workspace_id) == in_the_feed(house, house.cast.admin)
    assert handed_on(house, house.cast.stranger_workspace_id) == in_the_feed(house, house.cast.stranger)


def test_a_subscriber_that_fails_holds_its_events_for_the_next_round(house: House) -> None:
    before = len(handed_on(house, house.cast.workspace_id))
    close(house, house.ticket())

    async def fails(tx: Tx, events: Sequence[Settled]) -> None:
        await note(tx, events)
        raise RuntimeError("not today")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="not today"):
            relays(house, 1, (note, fails), 1)
    assert len(handed_on(house, house.cast.workspace_id)) == before
    relays(house, 1, (note,), 1)
    assert handed_on(house, house.cast.workspace_id) == in_the_feed(house, house.cast.admin)
