"""Nothing is lost on the way out, however rudely processes end: everything committed arrives, each ticket in order."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from process.program import TICKETRY, Served, environment, eventually, kill, postgres_of
from process.test_serve import TICKET
from webhooks.receiving import Receiver

pytestmark = pytest.mark.process

ROUNDS = 2


class Load:
    """Threads that open tickets and change them until told to stop; what was answered with an error is left open."""

    def __init__(self, key: str, url: str, threads: int = 3) -> None:
        self.key, self.url = key, url
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=10) as client:
            while not self.over.is_set():
                with suppress(httpx.HTTPError, KeyError, ValueError):
                    ticket = client.post(f"{self.url}/v1/tickets", json=TICKET).json()["data"]
                    for priority in (1, 2):
                        client.put(f"{self.url}/v1/tickets/{ticket['id']}", json={"priority": priority})
                    client.put(f"{self.url}/v1/tickets/{ticket['id']}/close")
                self.over.wait(0.02)

    def end(self) -> None:
        """Stops asking."""
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def worker(folder: Path) -> Iterator[Any]:
    """Starts `ticketry worker` beside the server; it ends with the test."""
    running: list[subprocess.Popen[str]] = []

    def run() -> subprocess.Popen[str]:
        words = [TICKETRY, "worker", "--data-dir", str(folder / "data"), "--allow-insecure-webhooks"]
        running.append(subprocess.Popen(words, stderr=subprocess.DEVNULL, text=True, env=environment()))
        return running[-1]

    yield run
    for one in running:
        one.kill()
        one.wait()


def feed(client: httpx.Client) -> list[dict[str, Any]]:
    """Everything that happened, in order."""
    found: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        page = client.get("/v1/events", params={"limit": 500, **after}).json()
        found += page["data"]
        after = {"after": page["meta"]["next_after"]}
        if not page["meta"]["has_more"]:
            return found


def check(receiver: Receiver, events: list[dict[str, Any]]) -> None:
    """What arrived is what the feed holds; of each ticket the first arrivals come in the feed's order."""
    assert {one.event_id for one in list(receiver.received)} == {event["event_id"] for event in events}
    told: dict[str, list[str]] = {}
    for event in events:
        told.setdefault(event["ticket_id"], []).append(event["event_id"])
    assert receiver.of_tickets() == told


def test_worker_server_and_database_killed_under_load(start: Any, worker: Any, folder: Path) -> None:
    """One after the other and at random moments, several times, while tickets are opened, changed and closed."""
    words = ("--data-dir", str(folder / "data"), "--no-worker", "--allow-insecure-webhooks")
    server: Served = start(*words).ready()
    key = server.key()
    moment = random.Random(2025)
    with Receiver() as receiver:
        with server.client(key) as client:
            made = client.post("/v1/webhooks", json={"url": receiver.url}).json()["data"]
        workers = [worker(), worker()]
        for _ in range(ROUNDS):
            load = Load(key, server.url)
            seen = len(receiver.received)
            assert eventually(lambda n=seen: len(receiver.received) > n, 40), server.told()
            time.sleep(moment.uniform(0.2, 1.5))
            kill(workers[0].pid)
            workers = [workers[1], worker()]
            time.sleep(moment.uniform(0.1, 1))
            kill(postgres_of(folder / "data")[0])
            time.sleep(moment.uniform(0.5, 2))
            kill(server.process.pid)
            load.end()
            server = start(*words).ready()
        with server.client(key) as client:
            events = feed(client)
            wanted = {event["event_id"] for event in events}
            assert len(wanted) > 50
            arrived = eventually(lambda: wanted <= {one.event_id for one in list(receiver.received)}, 60)
            waiting = client.get("/v1/webhooks/deliveries", params={"status": "pending"}).json()
            assert arrived, (waiting["meta"], waiting["data"][:3])
            assert client.get("/v1/webhooks/deliveries", params={"status": "dead"}).json()["meta"]["total"] == 0
        for one in receiver.received:
            one.verify(made["secret"])
        check(receiver, events)
        for one in workers:
            one.send_signal(signal.SIGTERM)
            assert one.wait(30) == 0


def test_workers_that_are_stopped_in_order_send_nothing_twice(start: Any, worker: Any, folder: Path) -> None:
    """Restarted again and again under load, as at a deployment."""
    words = ("--data-dir", str(folder / "data"), "--no-worker", "--allow-insecure-webhooks")
    server: Served = start(*words).ready()
    key = server.key()
    with Receiver() as receiver, server.client(key) as client:
        client.post("/v1/webhooks", json={"url": receiver.url})
        load = Load(key, server.url)
        for _ in range(2):
            one = worker()
            seen = len(receiver.received)
            assert eventually(lambda n=seen: len(receiver.received) > n + 20, 30)
            one.send_signal(signal.SIGTERM)
            assert one.wait(30) == 0
        load.end()
        worker()
        events = feed(client)
        assert eventually(lambda: len(receiver.received) >= len(events), 40)
        check(receiver, events)
        assert len(receiver.received) == len(events)
