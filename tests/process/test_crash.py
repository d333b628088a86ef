"""What was answered is stored, however rudely the processes end."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from process.program import Served, embedded_url, eventually, kill, postgres_of, words_of
from process.test_serve import TICKET

pytestmark = pytest.mark.process

UNRESOLVED = """
    SELECT count(*) FROM tickets t WHERE
        (SELECT count(*) FROM resolutions r WHERE r.ticket_id = t.id) <>
        (SELECT count(*) FROM events e WHERE e.ticket_id = t.id AND e.type = 'ticket.closed')
        OR (t.status = 'closed') <> EXISTS (SELECT FROM resolutions r WHERE r.ticket_id = t.id)"""


class Load:
    """Threads that open tickets and close them, and remember which closes were answered."""

    def __init__(self, server: Served, key: str, threads: int = 8) -> None:
        self.closed: list[str] = []
        self.over = threading.Event()
        self.server, self.key = server, key
        self.threads = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self) -> None:
        with self.server.client(self.key) as client:
            while not self.over.is_set():
                with suppress(httpx.HTTPError):
                    self._once(client)

    def _once(self, client: httpx.Client) -> None:
        opened = client.post("/v1/tickets", json=TICKET)
        if opened.status_code == 201:
            ticket_id = opened.json()["data"]["id"]
            if client.put(f"/v1/tickets/{ticket_id}/close").status_code == 200:
                self.closed.append(ticket_id)
        else:
            self.over.wait(0.05)

    def more(self, number: int) -> bool:
        """Whether so many more closes are answered soon."""
        wanted = len(self.closed) + number
        return eventually(lambda: len(self.closed) >= wanted, 15)

    def end(self) -> None:
        """Stops asking."""
        self.over.set()
        for thread in self.threads:
            thread.join()


def check_stored(url: str, closed: list[str]) -> None:
    """Every close that was answered is there, and no ticket is closed by half."""
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT id FROM tickets WHERE status = 'closed'").fetchall()
        assert set(closed) <= {row[0] for row in found}
        assert conn.execute(UNRESOLVED).fetchall() == [(0,)]


def test_everything_killed_under_load(start: Any, folder: Path) -> None:
    """Server, postmaster and backends die at one moment; the next start finds every answered close."""
    server = start("--data-dir", str(folder / "data")).ready()
    key = server.key()
    load = Load(server, key)
    assert load.more(100)
    kill(server.process.pid, *postgres_of(folder / "data"))
    load.end()
    again = start("--data-dir", str(folder / "data")).ready()
    check_stored(embedded_url(folder / "data"), load.closed)
    with again.client(key) as client:
        assert client.put(f"/v1/tickets/{load.closed[-1]}/close").json()["error"]["code"] == "ticket_already_closed"
        assert client.post("/v1/tickets", json=TICKET).status_code == 201


def test_only_the_database_killed_under_load(start: Any, folder: Path) -> None:
    """The server starts it again by itself, and requests succeed within seconds."""
    server = start("--data-dir", str(folder / "data")).ready()
    load = Load(server, server.key())
    assert load.more(50)
    kill(postgres_of(folder / "data")[0])
    assert load.more(50), server.told()
    load.end()
    check_stored(embedded_url(folder / "data"), load.closed)
    server.signal(signal.SIGTERM)
    assert server.stopped() == 0
    assert not postgres_of(folder / "data")


def test_only_the_program_killed(start: Any, folder: Path) -> None:
    """The database goes on; the next start takes it over, and stops it at its end."""
    server = start("--data-dir", str(folder / "data")).ready()
    before = postgres_of(folder / "data")[0]
    kill(server.process.pid)
    again = start("--data-dir", str(folder / "data")).ready()
    assert postgres_of(folder / "data")[0] == before
    again.signal(signal.SIGTERM)
    assert again.stopped() == 0
    assert not postgres_of(folder / "data")


def test_the_parent_of_several_killed(start: Any, database_url: str) -> None:
    """Its API processes end by themselves: none stays to hold the port."""
    server = start("--database-url", database_url, "--workers", "2").ready()
    children = server.children()
    assert len(children) == 2
    kill(server.process.pid)
    assert eventually(lambda: not any(words_of(pid) for pid in children))
