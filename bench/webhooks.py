"""How long after its commit an event is delivered, and what subscribers cost a close: at a bounded rate."""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self
from urllib.request import Request, urlopen

import aiohttp

from bench import machine, pgbench
from bench.calls import Stock
from bench.house import House
from bench.report import Aims, Section, Table
from bench.rows import id_of
from bench.server import TICKETRY, Served, environment
from bench.session import Session

RATE = 200
"""Closes a second."""
MINUTE = 60
"""Seconds that deliveries are measured."""
SLICE, ROUNDS = 4, 11
"""Seconds, and how often, closes are compared with and without subscribers; the sides take turns."""
ENDPOINTS = 3
PATIENCE = 60


class Receiver:
    """The receiving process."""

    def __enter__(self) -> Self:
        # Receivers are other machines: this one gets what the program leaves.
        words = ["nice", sys.executable, "-m", "bench.receiver"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def arrived(self) -> dict[str, list[float]]:
        """When the messages of each ticket arrived."""
        found: dict[str, list[float]] = json.loads(self.process.communicate(timeout=PATIENCE)[0])
        return found


@dataclass
class Closed:
    """Closes that were answered: per ticket when, and how long each took in seconds."""

    at: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    cpu: float = 0.0
    database_cpu: float = 0.0

    def part(self, share: float) -> float:
        """A quantile of the times, in milliseconds."""
        return quantile(self.took, share) * 1000


def quantile(values: list[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


async def _close_all(served: Served, key: str, first: int, count: int) -> Closed:
    """Closes tickets at the rate, whether or not earlier answers are there yet."""
    done = Closed()
    headers = {"Authorization": f"Bearer {key}"}
    begun = time.perf_counter()
    before = served.cpu()

    async def close(n: int) -> None:
        await asyncio.sleep(begun + n / RATE - time.perf_counter())
        ticket, sent = id_of(first + n), time.perf_counter()
        async with session.put(f"{served.url}/v1/tickets/{ticket}/close", json=pgbench.CLOSING) as answer:
            await answer.read()
            assert answer.status == 200, answer.status
        done.at[ticket] = time.time()
        done.took.append(time.perf_counter() - sent)

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(close(n) for n in range(count)))
    done.cpu = (served.cpu() - before) / count * 1e6
    return done


def _call(served: Served, key: str, method: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(served.url + path, data, headers, method=method), timeout=60) as answer:
        return json.load(answer)


@dataclass
class Desk:
    """A server, its stock of open tickets and its webhooks."""

    house: House
    served: Served
    stock: Stock
    hooks: list[str] = field(default_factory=list)

    def subscribe(self, port: int) -> None:
        """Makes the webhooks, all to one receiver."""
        for n in range(ENDPOINTS):
            body = {"url": f"http://127.0.0.1:{port}/{n}", "event_types": ["ticket.closed"]}
            self.hooks.append(_call(self.served, self.house.key, "POST", "/v1/webhooks", body)["data"]["id"])

    def switch(self, on: bool) -> None:
        """Switches all webhooks."""
        for hook in self.hooks:
            _call(self.served, self.house.key, "PATCH", f"/v1/webhooks/{hook}", {"enabled": on})

    def close(self, seconds: int) -> Closed:
        """Closes at the rate for so long."""
        count = RATE * seconds
        return asyncio.run(_close_all(self.served, self.house.key, self.stock.take(count), count))

    def drain(self) -> None:
        """Waits until nothing is pending."""
        deadline = time.monotonic() + PATIENCE
        path = "/v1/webhooks/deliveries?status=pending&per_page=1"
        time.sleep(1)
        while _call(self.served, self.house.key, "GET", path)["meta"]["total"]:
            if time.monotonic() > deadline:
                raise SystemExit("deliveries are still pending")
            time.sleep(0.2)


def _delays(closed: Closed, arrived: dict[str, list[float]]) -> list[float]:
    """Seconds from each answer to each of its deliveries."""
    found = []
    for ticket, at in closed.at.items():
        times = arrived.get(ticket, [])
        if len(times) != ENDPOINTS:
            raise SystemExit(f"{ticket} was delivered {len(times)} times instead of {ENDPOINTS}")
        found += [one - at for one in times]
    return found


def _compare(session: Session, desk: Desk) -> dict[bool, list[Closed]]:
    """Closes without and with subscribers, in turns."""
    found: dict[bool, list[Closed]] = {False: [], True: []}
    desk.close(3)
    desk.drain()
    desk.house.tidy()
    turns = [on for n in range(ROUNDS) for on in ((False, True) if n % 2 else (True, False))]
    for on in session.progress.track(turns, description="close, with and without subscribers"):
        desk.switch(on)
        time.sleep(1.5)
        before = desk.served.database_cpu()
        found[on].append(desk.close(SLICE))
        desk.drain()
        found[on][-1].database_cpu = (desk.served.database_cpu() - before) / (RATE * SLICE) * 1e6
    desk.switch(True)
    return found


def _table(found: dict[bool, list[Closed]]) -> Table:
    table = Table(("Closes, 200 a second", "p50 ms", "p99 ms", "API CPU µs", "Database CPU µs"))
    for on, name in ((False, "nobody subscribed"), (True, f"{ENDPOINTS} endpoints subscribed")):
        runs = [(one.part(0.5), one.part(0.99), one.cpu, one.database_cpu) for one in found[on]]
        half, worst, cpu, database = (median(values) for values in zip(*runs, strict=True))
        table.rows.append((name, f"{half:.2f}", f"{worst:.2f}", f"{cpu:.0f}", f"{database:.0f}"))
    return table


def _growth(found: dict[bool, list[Closed]], figure: Callable[[Closed], float]) -> float:
    """What a figure is with subscribers over what it is without: the median of the rounds' ratios."""
    return median(figure(on) / figure(off) for on, off in zip(found[True], found[False], strict=True))


def webhooks(session: Session) -> Section:
    """A minute of closes with three endpoints subscribed, and the closes themselves with and without."""
    house = session.large
    stock = Stock(house)
    stock.fill(RATE * (2 * ROUNDS * SLICE + MINUTE + 10))
    words = [TICKETRY, "worker", "--data-dir", str(house.data_dir), "--allow-insecure-webhooks"]
    with Receiver() as receiver, house.serve("--no-worker", "--allow-insecure-webhooks") as served:
        worker = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=environment())
        try:
            desk = Desk(house, served, stock)
            desk.subscribe(receiver.port)
            time.sleep(3)
            found = _compare(session, desk)
            before = machine.cpu_seconds(worker.pid)
            closed = desk.close(MINUTE)
            desk.drain()
            cpu = (machine.cpu_seconds(worker.pid) - before) / (RATE * MINUTE * ENDPOINTS) * 1e6
        finally:
            worker.terminate()
            worker.wait(30)
        delays = _delays(closed, receiver.arrived())
    aims = Aims()
    aims.below("committed to delivered, p50, ms", quantile(delays, 0.5) * 1000, 200)
    aims.below("committed to delivered, p99, ms", quantile(delays, 0.99) * 1000, 1000)
    aims.below("p50 of a close with 3 endpoints / without", _growth(found, lambda one: one.part(0.5)), 1.15, "{:.2f}")
    aims.below("API CPU of a close with 3 endpoints / without", _growth(found, lambda one: one.cpu), 1.15, "{:.2f}")
    notes = [
        f"One API process, one worker process, a receiver and the load on one machine. {RATE} closes a second for "
        f"{MINUTE} s make {len(delays):,} deliveries; each arrived once. Delays count from the answer to the close. "
        f"The worker uses {cpu:.0f} µs of CPU a delivery. Closes are compared in {ROUNDS} rounds of {SLICE} s a side, "
        "the median of the rounds' ratios counts; the database's share is counted until all is delivered.",
    ]
    return Section("webhooks", "Webhooks: from commit to delivery", [_table(found), aims], notes)
