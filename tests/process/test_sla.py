"""A day of tickets' lives in a minute: the real worker tells what falls due, killed and started again in between.

The day before is lived through the services at instants of the past; what falls due in the next seconds is for
the worker.
"""

import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from conftest import run_with
from process.program import TICKETRY, environment, eventually

from ticketry.accounts.workspaces import service as workspaces
from ticketry.core.actor import Actor
from ticketry.db.pool import Tx
from ticketry.sla.policies import service as policies
from ticketry.sla.policies.models import CalendarIn, Conditions, Escalation, PolicyIn, TargetIn
from ticketry.tickets import service as tickets
from ticketry.tickets.models import ReopenIn, TicketIn, TicketPatch
from ticketry.tickets.promises import service as promises
from ticketry.tickets.promises import store

pytestmark = pytest.mark.process

T = TypeVar("T")
DAY = timedelta(days=1)
FIFTH = DAY / 5
FIRST, DEAD, LAST = 6, 24, 36  # seconds from the start: before the kill, while no worker runs, after the restart
LATEST = 60  # seconds after the moment, as promised


class Day:
    """A workspace with a promise of 24 hours for the resolution, and what is to be told of its tickets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.start = datetime.now(UTC).replace(microsecond=0)
        self.expected: dict[str, list[tuple[str, datetime]]] = {}
        self.born = self.start - 2 * DAY
        self.actor = self.at(self.born, self._found)

    def at(self, now: datetime, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Something done at an instant of the past."""
        return run_with(self.url, work, now)  # type: ignore[arg-type]

    async def _found(self, tx: Tx) -> Actor:
        made = await workspaces.found(tx, "Acme")
        assert made is not None
        self.workspace_id = made[0].id
        body = CalendarIn(name="No lunch", opening_hours="00:00-24:00", time_zone="Asia/Kathmandu")
        calendar = await policies.create_calendar(tx, self.workspace_id, body)
        targets = {"3": TargetIn(resolution=24 * 60), "2": TargetIn(resolution=12 * 60)}
        escalation = Escalation(on="breach", add_tag="late")
        for name, calendar_id in (("always", None), ("daily", calendar.id)):
            conditions = Conditions(category=[name])
            policy = PolicyIn(name=name, calendar_id=calendar_id, targets=targets, conditions=conditions,
                              escalations=[escalation])  # fmt: skip
            await policies.create(tx, self.workspace_id, policy)
        return Actor(self.workspace_id, "key", "key_test", "Test")

    def ticket(self, made: datetime, *told: tuple[str, datetime], category: str = "always", **fields: Any) -> str:
        """A ticket made then, of which this is to be told."""
        body = TicketIn(subject="a", description="b", category=category, **fields)
        ticket = self.at(made, lambda tx: tickets.create(tx, self.actor, body))
        self.expected[ticket.id] = list(told)
        return ticket.id

    def change(self, at: datetime, ticket_id: str, **fields: Any) -> None:
        self.at(at, lambda tx: tickets.update(tx, self.actor, ticket_id, TicketPatch(**fields)))

    def rung(self, at: datetime, ticket_id: str) -> None:
        """What a worker did in the past."""
        assert self.at(at, lambda tx: promises.ring(tx, self.workspace_id, ticket_id))

    def told(self) -> dict[str, list[tuple[str, datetime]]]:
        """What was told of each ticket, and when."""
        query = """SELECT ticket_id, type, created_at FROM events WHERE type LIKE 'ticket.sla%' ORDER BY position"""
        found: dict[str, list[tuple[str, datetime]]] = {ticket_id: [] for ticket_id in self.expected}
        with psycopg.connect(self.url) as conn:
            for ticket_id, kind, at in conn.execute(query).fetchall():
                found[ticket_id].append((kind.removeprefix("ticket.sla_"), at))
        return found

    def all_told(self, until: int) -> bool:
        """Whether everything due up to so many seconds from the start is told."""
        last, told = self.start + timedelta(seconds=until), self.told()
        due = {key: [kind for kind, at in alarms if at <= last] for key, alarms in self.expected.items()}
        return all([kind for kind, _ in told[key]][: len(kinds)] == kinds for key, kinds in due.items())


def live(day: Day) -> None:
    """For each of the three moments a ticket of every kind."""
    for seconds in (FIRST, DEAD, LAST):
        moment = day.start + timedelta(seconds=seconds)
        second_after = moment + timedelta(seconds=1)
        # warned in the past, breached now; in business hours too
        for category in ("always", "daily"):
            late = day.ticket(moment - DAY, ("warning", moment - FIFTH), ("breached", second_after), category=category)
            day.rung(moment - FIFTH, late)
        # warned now
        day.ticket(moment - 4 * FIFTH, ("warning", moment))
        # six hours of pause moved the breach to this moment
        paused = day.ticket(moment - DAY * 1.25, ("warning", moment - FIFTH), ("breached", second_after))
        day.change(moment - DAY, paused, status="waiting_on_customer")
        day.change(moment - DAY * 0.75, paused, status="open")
        day.rung(moment - FIFTH, paused)
        # closed in time, reopened: the rest of its time ends now
        again = day.ticket(moment - DAY * 1.5, ("breached", second_after))
        day.change(moment - DAY * 1.5 + DAY * 0.75, again, status="closed")
        day.at(moment - DAY * 0.25, lambda tx, again=again: tickets.reopen(tx, day.actor, again, ReopenIn()))  # type: ignore[misc]
        day.expected[again] = [("warning", moment - FIFTH), ("breached", second_after)]
        day.rung(moment - FIFTH, again)
        # of a higher priority since an hour ago
        raised = day.ticket(moment - DAY / 2, ("breached", second_after))
        day.change(moment - timedelta(hours=1), raised, priority=2)
        # and those of which nothing is told: paused, resolved, closed before, with no target
        for status in ("waiting_on_customer", "resolved", "closed"):
            quiet = day.ticket(moment - 4 * FIFTH)
            day.change(moment - timedelta(minutes=1), quiet, status=status)
        day.ticket(moment - DAY, priority=4)


class Worker:
    """A running `ticketry worker`."""

    def __init__(self, url: str) -> None:
        words = [TICKETRY, "worker", "--database-url", url]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(words, env=environment(), **pipes)

    def end(self, number: signal.Signals) -> str:
        """Ends it; what it wrote."""
        self.process.send_signal(number)
        return "".join(self.process.communicate(timeout=30))


@pytest.fixture
def workers() -> Iterator[Callable[[str], Worker]]:
    running: list[Worker] = []

    def run(url: str) -> Worker:
        running.append(Worker(url))
        return running[-1]

    yield run
    for one in running:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def sleep_until(day: Day, seconds: float) -> None:
    time.sleep(max(0.0, (day.start + timedelta(seconds=seconds) - datetime.now(UTC)).total_seconds()))


def test_a_day_with_the_worker_killed_and_started_again(database_url: str, workers: Callable[[str], Worker]) -> None:
    day = Day(database_url)
    live(day)
    first = workers(database_url)
    assert eventually(lambda: day.all_told(FIRST + 1), LATEST)
    first.end(signal.SIGKILL)
    sleep_until(day, DEAD + 2)
    assert not day.all_told(DEAD + 1)
    second = workers(database_url)
    assert eventually(lambda: day.all_told(LAST + 1), LATEST), day.told()
    sleep_until(day, LAST + 12)  # one more round, in which nothing may be told
    told = day.told()
    for ticket_id, alarms in day.expected.items():
        assert [kind for kind, _ in told[ticket_id]] == [kind for kind, _ in alarms]
        for (_, moment), (kind, at) in zip(alarms, told[ticket_id], strict=True):
            assert 0 <= (at - moment).total_seconds() <= LATEST, (kind, moment, at)
    check_stored(day)
    assert "rror" not in second.end(signal.SIGTERM)


def check_stored(day: Day) -> None:
    """Escalations were done once each, and what is stored is what the events give."""

    async def look(tx: Tx) -> list[str]:
        found = await store.batch(tx, day.workspace_id, "", 1000, only_open=False)
        for ticket in found:
            breached = "breached" in {kind for kind, _ in day.expected[ticket.id]}
            assert ticket.tags == (["late"] if breached else []), json.dumps(ticket.tags)
        return await promises.replay(tx, day.workspace_id, found)

    assert day.at(datetime.now(UTC).replace(microsecond=0), look) == []
