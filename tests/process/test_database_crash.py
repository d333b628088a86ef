"""A process of the database is killed under load: everybody is answered, and the server goes on by itself."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from process.program import Served, embedded_url, eventually, kill, postgres_of
from process.test_serve import TICKET

pytestmark = pytest.mark.process

CALLERS, ROUNDS = 6, 3
LONGEST = 25
"""Seconds for an answer, whatever it is: a pool waits ten, a statement twenty."""


def busy_process(data_dir: Path) -> int | None:
    """A server process that works for one of our connections at this moment."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ticketry' AND state <> 'idle' LIMIT 1"
    with psycopg.connect(embedded_url(data_dir), autocommit=True) as conn:
        row = conn.execute(query).fetchone()
    return None if row is None else int(row[0])


def victim(data_dir: Path, whole: bool) -> list[int]:
    if whole:
        return postgres_of(data_dir)[:1]
    found: list[int | None] = []
    assert eventually(lambda: found.append(busy_process(data_dir)) or found[-1] is not None)
    return [pid for pid in found if pid is not None]


def failures(server: Served) -> list[str]:
    """What the server says of requests that it could not answer as it should."""
    return [
        line[-1500:] for line in server.told().splitlines() if "request failed" in line or "operation failed" in line
    ]


class Caller(threading.Thread):
    """Sends bulks of every kind, and single calls between them, until it is over; how long each took is noted."""

    def __init__(self, server: Served, key: str, n: int, over: threading.Event) -> None:
        super().__init__()
        self.server, self.key, self.n, self.over = server, key, n, over
        self.seconds: list[float] = []
        self.codes: set[int] = set()

    def run(self) -> None:
        with self.server.client(self.key) as client:
            tickets = [client.post("/v1/tickets", json=TICKET).json()["data"]["id"] for _ in range(20)]
            action = ({"action": "comment", "params": {"body": "b"}}, {"action": "close"}, {"action": "reopen"})
            sent = 0
            while not self.over.is_set():
                each = action[self.n % 2 and 1 + sent % 2]
                operations = [{**each, "ticket_id": ticket} for ticket in tickets]
                headers = {"Idempotency-Key": os.urandom(8).hex()} if self.n % 3 else {}
                self.timed(client, "POST", "/v1/tickets/bulk", json={"operations": operations}, headers=headers)
                self.timed(client, "GET", f"/v1/tickets/{tickets[0]}")
                sent += 1

    def timed(self, client: Any, method: str, path: str, **given: Any) -> None:
        began = time.monotonic()
        self.codes.add(client.request(method, path, **given).status_code)
        self.seconds.append(time.monotonic() - began)


@pytest.mark.parametrize("whole", [False, True], ids=["one of its processes", "the postmaster"])
def test_everybody_is_answered_and_it_goes_on(start: Any, folder: Path, whole: bool) -> None:
    data_dir = folder / "data"
    server = start("--data-dir", str(data_dir)).ready()
    key = server.key()
    for _ in range(ROUNDS):
        over = threading.Event()
        callers = [Caller(server, key, n, over) for n in range(CALLERS)]
        for caller in callers:
            caller.start()
        assert eventually(lambda: all(len(caller.seconds) > 2 for caller in callers), 60)  # noqa: B023
        kill(*victim(data_dir, whole))
        with server.client(key) as client:
            assert eventually(lambda: client.get("/readyz").status_code == 200, 60)
        over.set()
        for caller in callers:
            caller.join(60)
        assert not any(caller.is_alive() for caller in callers)
        assert max(max(caller.seconds) for caller in callers) < LONGEST
        assert all(200 in caller.codes <= {200, 503} for caller in callers), failures(server)
        with server.client(key) as client:
            body = {"operations": [{"action": "close", "ticket_id": "TICK-1"}]}
            for n in range(4):
                headers = {"Idempotency-Key": os.urandom(8).hex()} if n % 2 else {}
                began = time.monotonic()
                answer = client.post("/v1/tickets/bulk", json=body, headers=headers)
                assert answer.status_code == 200, answer.text
                assert time.monotonic() - began < 5
