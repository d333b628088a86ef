"""A fresh installation with tickets in it: made, filled by COPY, measured, thrown away."""

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.progress import Progress

from bench.rows import AGENTS, TICKETS_A_CONTACT, Desk, Row, contact_of, event_of, resolution_of
from bench.server import Served, ticketry
from ticketry.commands.database import run_on
from ticketry.db.embedded import embedded
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.store import fold_counts

CHUNK = 5_000
BYTES_A_TICKET = 8_000
PATIENCE = 300
"""Seconds that a worker has for what it was left."""
_LEFT = """
    SELECT EXISTS (SELECT FROM ticket_mark_changes) OR EXISTS (SELECT FROM ticket_count_changes) OR EXISTS (
        SELECT FROM (SELECT workspace_id, transaction_id, position FROM events WHERE workspace_id = %s
                     ORDER BY transaction_id DESC, position DESC LIMIT 1) AS e
        LEFT JOIN feed_cursors c USING (workspace_id)
        WHERE c.workspace_id IS NULL OR (e.transaction_id, e.position) > (c.transaction_id, c.position))"""


@dataclass
class House:
    """A data folder with tickets of one workspace, its server stopped."""

    data_dir: Path
    tickets: int
    workspace_id: str
    key: str
    progress: Progress
    first_startup: float = 0.0

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection; the database runs as long as it is open, also without a server."""
        with embedded(self.data_dir) as url, psycopg.connect(url, autocommit=True) as conn:
            yield conn

    def serve(self, *options: str) -> Served:
        """Starts the server."""
        return Served(self.data_dir, *options)

    def one(self, query: str, params: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row of a query."""
        with self.database() as conn:
            row = conn.execute(query, params).fetchone()
        assert row is not None, query
        return row

    def wait_for_worker(self) -> None:
        """Until a running server's worker has done all that earlier changes left to it. SystemExit if it does not."""
        end = time.monotonic() + PATIENCE
        with self.database() as conn:
            while conn.execute(_LEFT, (self.workspace_id,)).fetchone() != (False,):
                if time.monotonic() > end:
                    raise SystemExit(f"the worker still has work after {PATIENCE} s")
                time.sleep(0.5)

    def add(self, count: int, title: str, *, all_open: bool = False) -> int:
        """Adds tickets; the number of the first, the others follow. Then the house is tidied up."""
        contacts = max(1, self.tickets // TICKETS_A_CONTACT)
        with embedded(self.data_dir) as url:
            with psycopg.connect(url, autocommit=True) as conn:
                first = self._numbers(conn, count)
                desk = Desk(self.workspace_id, datetime.now(UTC), first, count, contacts, all_open)
                self._copy(conn, desk, title)
            while run_on(url, fold_counts) or run_on(url, marks.fold):
                pass
            self._tidy(url)
        return first

    def _numbers(self, conn: psycopg.Connection[Any], count: int) -> int:
        """Takes so many ticket numbers; the first."""
        sequence = sql.Identifier("numbers", self.workspace_id).as_string(conn)
        row = conn.execute(
            "SELECT setval(s, nextval(s) + %s - 1) - %s + 1 FROM (SELECT %s::regclass AS s)", (count, count, sequence)
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _copy(self, conn: psycopg.Connection[Any], desk: Desk, title: str) -> None:
        task = self.progress.add_task(title, total=desk.count)
        rows = desk.rows()
        while chunk := list(islice(rows, CHUNK)):
            with conn.transaction():
                copy(conn, "tickets", chunk)
                copy(conn, "resolutions", [resolution_of(row) for row in chunk if row["status"] == "closed"])
                copy(conn, "events", [event_of(row) for row in chunk])
            self.progress.advance(task, len(chunk))
        self.progress.remove_task(task)

    def tidy(self) -> None:
        """Has the database in the state of one that has run for a while."""
        with embedded(self.data_dir) as url:
            self._tidy(url)

    def _tidy(self, url: str) -> None:
        """What autovacuum and the checkpointer would do in time, done before the clock runs."""
        task = self.progress.add_task("vacuum, analyze, checkpoint", total=None)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("VACUUM (ANALYZE)")
            conn.execute("CHECKPOINT")
        self.progress.remove_task(task)


def copy(conn: psycopg.Connection[Any], table: str, rows: Iterable[Row]) -> None:
    """Loads rows, all with the columns of the first."""
    columns: list[str] | None = None
    for row in (rows := list(rows))[:1]:
        columns = list(row)
    if columns is None:
        return
    with conn.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as out:
        for row in rows:
            out.write_row(list(row.values()))


def _people(conn: psycopg.Connection[Any], workspace_id: str, contacts: int) -> None:
    at = datetime.now(UTC)
    own = {"workspace_id": workspace_id, "created_at": at}
    users = ({"id": one, "name": one, "email": f"{one}@example.com", "role": "agent", **own} for one in AGENTS)
    copy(conn, "users", users)
    ids = ((contact_of(n), n) for n in range(contacts))
    copy(
        conn,
        "contacts",
        ({"id": i, "name": f"Customer {n}", "email": f"c{n}@example.org", "updated_at": at, **own} for i, n in ids),
    )


@contextmanager
def new_house(tickets: int, progress: Progress) -> Iterator[House]:
    """An installation with so many tickets, in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="ticketry-bench-"))
    try:
        if shutil.disk_usage(folder).free < tickets * BYTES_A_TICKET:
            raise SystemExit(f"{folder.parent} has too little room for {tickets:,} tickets; set TMPDIR")
        yield _founded(folder / "data", tickets, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _founded(data_dir: Path, tickets: int, progress: Progress) -> House:
    with Served(data_dir) as served:
        words = ("--name", "bench", "--scopes", "all", "--quiet", "--data-dir", str(data_dir))
        key, startup = ticketry("keys", "create", *words), served.startup
    house = House(data_dir, tickets, "", key, progress, startup)
    with house.database() as conn:
        (house.workspace_id,) = conn.execute("SELECT id FROM workspaces WHERE is_home").fetchone() or ("",)
        _people(conn, house.workspace_id, max(1, tickets // TICKETS_A_CONTACT))
    house.add(tickets, f"load {tickets:,} tickets")
    return house
