"""A dump loaded into another server: its transactions are counted from the beginning, the feed goes on at its end."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx
import psycopg
from conftest import MovedClock, _found, run_with, serve
from psycopg.conninfo import make_conninfo

from ticketry.db.embedded import _bin_path, embedded
from ticketry.db.migrate import migrate

TICKET = {"subject": "Refund not received", "description": "I was charged twice."}


def dumped(url: str, into: str, file: Path) -> None:
    """A backup as an operator makes and loads it."""
    subprocess.run([_bin_path() / "pg_dump", "--no-owner", "--dbname", url, "--file", file], check=True)
    told = subprocess.run(
        [_bin_path() / "psql", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", into, "--file", file],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr


def work_on(client: Any, count: int) -> None:
    for _ in range(count):
        ticket = client.post("/v1/tickets", json=TICKET).json()["data"]
        assert client.put(f"/v1/tickets/{ticket['id']}/close").status_code == 200


def test_the_feed_goes_on_after_its_old_events(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, embedded(Path(folder) / "a") as first:
        migrate(first)
        with psycopg.connect(first, autocommit=True) as conn:
            for _ in range(2_000):  # an old server has counted further than a new one
                conn.execute("SELECT pg_current_xact_id()")
        cast = run_with(first, _found)
        for address in serve(first, MovedClock()):
            with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {cast.admin}"}) as client:
                work_on(client, 3)
                before = client.get("/v1/events").json()
        assert len(before["data"]) == 6

        with embedded(Path(folder) / "b") as second:
            with psycopg.connect(second, autocommit=True) as conn:
                conn.execute("CREATE DATABASE restored")
            restored = make_conninfo(second, dbname="restored")
            dumped(first, restored, tmp_path / "dump.sql")
            migrate(restored)
            for address in serve(restored, MovedClock()):
                with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {cast.admin}"}) as client:
                    reopened = before["data"][0]["ticket_id"]
                    assert client.put(f"/v1/tickets/{reopened}/reopen").status_code == 200
                    work_on(client, 1)
                    whole = client.get("/v1/events").json()["data"]
                    after = before["meta"]["next_after"]
                    new = client.get("/v1/events", params={"after": after}).json()["data"]
            migrate(restored)
    assert whole[:6] == before["data"]
    assert whole[6:] == new
    assert [event["event_type"] for event in new] == ["ticket.reopened", "ticket.created", "ticket.closed"]
