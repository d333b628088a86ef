"""An erasure that dies half-way goes on by itself."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from process.program import eventually, kill

pytestmark = pytest.mark.process
MARK = "Grummelspatz"
TICKETS = 300


def test_killed_in_the_middle(start: Any, folder: Path, database_url: str) -> None:
    """The server dies while half of the tickets are done; the next one ends what nobody asks for again."""
    words = ("--database-url", database_url)
    server = start(*words).ready()
    key = server.key()
    with server.client(key) as client:
        body = {"name": f"Ida {MARK}", "email": f"{MARK}@example.com"}
        person = client.post("/v1/contacts", json=body).json()["data"]["id"]
        for n in range(TICKETS):
            body = {"subject": f"{MARK} {n}", "description": MARK, "contact_id": person}
            assert client.post("/v1/tickets", json=body).status_code == 201

    def ask() -> None:
        with suppress(httpx.HTTPError), server.client(key) as client:
            client.delete(f"/v1/contacts/{person}?confirm=true")

    def done(conn: psycopg.Connection[Any]) -> int:
        row = conn.execute("SELECT count(*) FROM tickets WHERE subject = '[erased]'").fetchone()
        assert row is not None
        return int(row[0])

    with psycopg.connect(database_url, autocommit=True) as seen, psycopg.connect(database_url) as holder:
        asking = threading.Thread(target=ask)
        asking.start()
        assert eventually(lambda: done(seen) >= 50, 30)
        holder.execute("LOCK TABLE event_erasures IN SHARE MODE")  # the next step stands still
        kill(server.process.pid)
        asking.join()
        holder.rollback()
        assert 50 <= done(seen) < TICKETS
        assert seen.execute("SELECT finished_at FROM erasures").fetchall() == [(None,)]
        start(*words).ready()
        assert eventually(lambda: seen.execute("SELECT 1 FROM erasures WHERE finished_at IS NOT NULL").fetchall(), 60)
        assert done(seen) == TICKETS
        (counts,) = seen.execute("SELECT counts FROM erasures").fetchone() or ({},)
        assert (counts["tickets"], counts["events"]) == (TICKETS, TICKETS)
        told = seen.execute(
            "SELECT type, count(*) FROM events WHERE type LIKE '%erased' GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert told == [("contact.erased", 1), ("ticket.erased", TICKETS)]
        assert seen.execute("SELECT 1 FROM events WHERE data::text ILIKE %s", (f"%{MARK}%",)).fetchall() == []
        assert seen.execute("SELECT 1 FROM vocabulary WHERE word ILIKE %s", (f"%{MARK}%",)).fetchall() == []
