"""Per ticket in order, whatever fails: the lanes by themselves, and the whole way with a moody receiver."""

import random
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from conftest import House
from hypothesis import given
from hypothesis import strategies as st
from kit import listed
from webhooks.receiving import Received, Receiver, eventually, hook, settled, working

from ticketry.webhooks.dispatch.lanes import Lanes
from ticketry.webhooks.dispatch.models import Due, Key

NOW = datetime(2025, 1, 15, tzinfo=UTC)


def due(number: int, ticket: str | None) -> Due:
    return Due(
        Key("ws", "webhook"), f"d{number}", f"e{number}", "ticket.updated", NOW, ticket, number, 0, 0, NOW, NOW, None
    )  # fmt: skip


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30), st.randoms(use_true_random=False))
def test_lanes(tickets: list[str | None], chance: random.Random) -> None:
    """Given the first that waits of each ticket, what is in hand is the oldest of its ticket, and one of each."""
    pending: dict[int, str | None] = dict(enumerate(tickets))
    lanes, under_way, ended = Lanes(), [], []

    def is_first(number: int) -> bool:
        ticket = pending[number]
        return ticket is None or not any(n < number for n, t in pending.items() if t == ticket)

    steps = 0
    while pending:
        steps += 1
        for number in chance.sample(sorted(pending), min(len(pending), 4)):
            one = due(number, pending[number])
            if is_first(number) and one.id not in lanes:
                assert lanes.offer(one)
        while lanes.ready and chance.random() < 0.7:
            under_way.append(lanes.ready.popleft())
        busy = [one.ticket_id for one in [*under_way, *lanes.ready] if one.ticket_id]
        assert len(busy) == len(set(busy)), "two of one ticket at once"
        assert len(lanes) == len(under_way) + len(lanes.ready)
        if under_way:
            one = under_way.pop(chance.randrange(len(under_way)))
            if steps > 200 or chance.random() < 0.6:
                del pending[one.position]
                ended.append(one)
                later = [n for n, t in pending.items() if t is not None and t == one.ticket_id]
                if later:
                    assert not lanes.offer(due(later[0], one.ticket_id)), "before the one in hand is let go"
            lanes.finish(one)
            assert one.id not in lanes
        assert steps < 2000
    assert len(lanes) == 0
    for ticket in ("a", "b", "c"):
        order = [one.position for one in ended if one.ticket_id == ticket]
        assert order == sorted(order)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_event_overtakes_another_of_its_ticket(house: House, receiver: Receiver, seed: int) -> None:
    """A third of all calls fails or breaks off, two workers are at work, time flies: arrivals never go back."""
    chance, over = random.Random(seed), threading.Event()
    received_well: set[str] = set()

    async def moody(one: Received) -> web.StreamResponse:
        if chance.random() < 0.35:
            return web.Response(status=chance.choice([500, 404, 302, 429]))
        received_well.add(one.event_id)
        return web.Response()

    def let_time_fly() -> None:
        while not over.wait(0.05):
            house.clock.advance(minutes=5)

    receiver.answer = moody
    webhook = hook(house, receiver.url)
    admin = house.client(house.cast.admin)
    flying = threading.Thread(target=let_time_fly)
    with working(house), working(house):
        flying.start()
        try:
            tickets: list[dict[str, Any]] = [house.ticket() for _ in range(12)]
            for priority in (1, 2, 4):
                for ticket in chance.sample(tickets, 12):
                    admin.put(f"/v1/tickets/{ticket['id']}", json={"priority": priority})
            assert eventually(lambda: settled(house, webhook, 48), 40)
        finally:
            over.set()
            flying.join()
    for ticket in tickets:
        history = [event["event_id"] for event in listed(house, ticket, "events")]
        arrivals = [history.index(one.event_id) for one in receiver.received if one.ticket_id == ticket["id"]]
        assert arrivals == sorted(arrivals)
        assert set(history) <= received_well
    assert len(receiver.received) > 48, "nothing failed"
