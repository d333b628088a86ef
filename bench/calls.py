"""Create, close and get over HTTP, and beside them pgbench with the statement of a close."""

import json
import random
from dataclasses import dataclass, field

from bench import pgbench, wrk
from bench.house import House
from bench.report import Aims, Section, Table
from bench.rows import CATEGORIES, TAGS, contact_of, id_of
from bench.server import Served
from bench.session import Session
from bench.texts import Writer
from bench.wrk import Load

ROUNDS = 3
"""Rounds at 16 connections: each measures everything in turn, so that all share the machine's good and bad moments."""
FASTEST = {1: 1_500, 16: 5_000}
"""Closes a second that no API process exceeds: so many open tickets are kept ready. A run that exceeds them fails."""
PGBENCH = 4_000
"""Closes by pgbench for each second of a run."""
KINDS = ("create", "get", "close")


@dataclass
class Stock:
    """Open tickets, each to be closed once."""

    house: House
    next: int = 0

    def fill(self, count: int) -> None:
        """Loads more."""
        self.next = self.house.add(count, f"load {count:,} open tickets to close", all_open=True)

    def take(self, count: int) -> int:
        """Sets so many apart; the number of the first."""
        first, self.next = self.next, self.next + count
        return first


@dataclass
class Desk:
    """One server under load."""

    house: House
    served: Served
    stock: Stock
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    def create(self, connections: int, seconds: float) -> Load:
        """Tickets with a contact, tags and forty words."""
        writer = Writer(self.rng.randrange(1000))
        bodies = [json.dumps(self._ticket(writer)) for _ in range(2_000)]
        line = "request = function() return wrk.format(nil, '/v1/tickets', nil, body()) end\n"
        script = wrk.head("POST", self.house.key) + wrk.rotating("body", bodies) + line
        return wrk.run(self.served, script, connections, seconds)

    def _ticket(self, writer: Writer) -> dict[str, object]:
        rng = self.rng
        return {
            "subject": writer.subject(),
            "description": writer.description(),
            "priority": rng.randint(1, 4),
            "category": rng.choice(CATEGORIES),
            "contact_id": contact_of(rng.randrange(max(1, self.house.tickets // 10))),
            "tags": rng.sample(TAGS, 2),
        }

    def get(self, connections: int, seconds: float) -> Load:
        """Any ticket of all."""
        numbers = (self.rng.randint(1, self.house.tickets) for _ in range(20_000))
        paths = [f"/v1/tickets/{id_of(number)}" for number in numbers]
        return wrk.run(self.served, wrk.gets(self.house.key, paths), connections, seconds)

    def close(self, connections: int, seconds: float) -> Load:
        """Each an open ticket of its own, with all that a close can say."""
        first = self.stock.take(kept_ready(connections, seconds))
        script = (
            wrk.head("PUT", self.house.key)
            + f"local n, body = {first - 1}, {wrk.lua(json.dumps(pgbench.CLOSING))}\n"
            + "request = function()\n  n = n + 1\n"
            + "  return wrk.format(nil, string.format('/v1/tickets/ticket_01%024d/close', n), nil, body)\nend\n"
        )
        return wrk.run(self.served, script, connections, seconds)


def kept_ready(connections: int, seconds: float) -> int:
    """Open tickets that one run may need."""
    return round(FASTEST[connections] * max(1, round(seconds)))


@dataclass
class Found:
    """The figures of one kind of server."""

    loads: dict[tuple[str, int], list[Load]] = field(default_factory=dict)
    pgbench: list[tuple[float, float]] = field(default_factory=list)
    memory: float = 0.0

    def add(self, kind: str, connections: int, load: Load) -> None:
        """One more run."""
        self.loads.setdefault((kind, connections), []).append(load)

    def load(self, kind: str, connections: int = 16) -> Load:
        """The median of the runs."""
        return wrk.middle(self.loads[kind, connections])


def _needed(slice_: float) -> int:
    """Open tickets that all runs together close: two warm-ups, the runs of both servers, pgbench."""
    runs = 2 * kept_ready(16, 1) + kept_ready(1, slice_) + 2 * ROUNDS * kept_ready(16, slice_)
    return runs + ROUNDS * _transactions(slice_)


def _transactions(seconds: float) -> int:
    return round(PGBENCH * seconds) // pgbench.CLIENTS * pgbench.CLIENTS


def _measure_alone(session: Session, desk: Desk, slice_: float) -> Found:
    """Every call, and pgbench right after the closes it is compared with."""
    found = Found()
    steps = [(kind, 1) for kind in KINDS] + [(kind, 16) for kind in (*KINDS, "pgbench")] * ROUNDS
    for kind, connections in session.progress.track(steps, description="create, get, close, pgbench"):
        if kind == "pgbench":
            count = _transactions(slice_)
            found.pgbench.append(pgbench.closes(desk.house, desk.stock.take(count), count))
        else:
            found.add(kind, connections, getattr(desk, kind)(connections, slice_))
    found.memory = desk.served.memory()
    return found


def _measure_working(session: Session, desk: Desk, slice_: float) -> Found:
    """Closes, while the same process also does the background work that they call for, and none that waited before."""
    found = Found()
    desk.house.wait_for_worker()
    for _ in session.progress.track(range(ROUNDS), description="close, with background work"):
        found.add("close", 16, desk.close(16, slice_))
    found.memory = desk.served.memory()
    return found


def _table(alone: Found, working: Found) -> Table:
    table = Table(("Call", "Server", "Connections", "Requests/s", "p50 ms", "p99 ms", "API CPU µs", "Database CPU µs"))
    for found, server in ((alone, "API alone"), (working, "with worker")):
        for kind, connections in found.loads:
            one = found.load(kind, connections)
            figures = (f"{one.rate:,.0f}", f"{one.p50:.2f}", f"{one.p99:.2f}", f"{one.api_cpu:.0f}")
            table.rows.append((kind, server, str(connections), *figures, f"{one.database_cpu:.0f}"))
    tps, latency = _middle(alone.pgbench)
    table.rows.append(("the statement of a close", "pgbench", "16", f"{tps:,.0f}", f"{latency:.2f} (mean)", "", "", ""))
    return table


def _middle(runs: list[tuple[float, float]]) -> tuple[float, float]:
    return sorted(runs)[len(runs) // 2]


def _aims(alone: Found, working: Found) -> Aims:
    aims = Aims()
    close, get = alone.load("close"), alone.load("get")
    tps, _ = _middle(alone.pgbench)
    aims.at_least("close / pgbench, 16 connections", close.rate / tps, 0.33)
    aims.at_least("get / close, 16 connections", get.rate / close.rate, 1.5)
    for kind in KINDS:
        aims.below(f"p99 of {kind}, ms, 16 connections", alone.load(kind).p99, 25)
    aims.below("p99 of close with background work, ms", working.load("close").p99, 25)
    aims.below("resident memory of an API process, MB", alone.memory, 120, "{:.0f}")
    aims.below("the same with background work, MB", working.memory, 120, "{:.0f}")
    return aims


def calls(session: Session) -> Section:
    """The three calls, by a server without background work and by one with it."""
    slice_, house = max(1.0, session.seconds / ROUNDS), session.large
    stock = Stock(house)
    stock.fill(_needed(slice_))
    with house.serve("--no-worker") as served:
        desk = Desk(house, served, stock)
        desk.close(16, 1)
        alone = _measure_alone(session, desk, slice_)
    with house.serve() as served:
        desk = Desk(house, served, stock)
        desk.close(16, 1)
        working = _measure_working(session, desk, slice_)
    notes = [
        f"One API process. Runs of {max(1, round(slice_))} s; at 16 connections the median of {ROUNDS} rounds, in each "
        "of which create, get, close and pgbench take turns. CPU is per request, the database's own background "
        "processes included.",
    ]
    title = f"Create, get, close beside {session.tickets:,} tickets"
    return Section("calls", title, [_table(alone, working), _aims(alone, working)], notes)
