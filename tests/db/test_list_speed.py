"""A database with tickets in it comes to the marks of migration 0014: what was there is found as what comes later."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import run_with
from psycopg.conninfo import make_conninfo

from ticketry.core.actor import system
from ticketry.db.migrate import MIGRATIONS, migrate
from ticketry.tickets.search import service, store
from ticketry.tickets.search.marks import store as marks
from ticketry.tickets.search.models import TicketsAsked

NOW = datetime(2025, 3, 1, tzinfo=UTC)
WORKSPACE = """
INSERT INTO agencies (id, name, created_at) VALUES ('agency_1', 'Acme', now());
INSERT INTO workspaces (id, agency_id, name, environment, created_at, updated_at)
VALUES ('ws_1', 'agency_1', 'One', 'live', now(), now());
"""
TICKETS = """
INSERT INTO tickets (workspace_id, id, number, subject, description, priority, status, tags, created_at, updated_at,
    sla_since, resolution_due_at, response_met)
SELECT 'ws_1', 'ticket_' || n, n * 50, CASE WHEN n %% 3 = 0 THEN 'Needle' ELSE 'Straw' END, 'Said', 1 + n %% 4, 'open',
    CASE WHEN n %% 5 = 0 THEN ARRAY['vip', 'eu'] ELSE ARRAY['eu'] END, at, at, at, at + interval '70 days', n %% 7 > 0
FROM generate_series(%s::integer, %s::integer) AS n,
    LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '2 hours' AS at) g
"""
CHANGE = (
    "UPDATE tickets SET subject = 'Straw', tags = '{vip}', priority = 1 WHERE workspace_id = 'ws_1' AND number = 450"
)
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "tags": ("'vip' = ANY(tags)", {"tags": "vip"}),
    "two tags": ("tags @> '{vip,eu}'", {"tags": "vip,eu"}),
    "words": ("subject = 'Needle'", {"search": "needle"}),
    "words and a state": ("subject = 'Straw' AND priority IN (1, 2)", {"search": "straw", "priority": "1,2"}),
    "missed or late": ("response_met IS FALSE OR resolution_due_at < '2025-03-01Z'", {"sla_breach": "true"}),
    "kept": ("response_met AND resolution_due_at >= '2025-03-01Z'", {"sla_breach": "false"}),
    "a month": ("created_at BETWEEN '2025-01-05 07:00Z' AND '2025-02-02 06:00Z'",
                {"created_after": "2025-01-05T07:00:00Z", "created_before": "2025-02-02T06:00:00Z"}),
    "from midnight": ("created_at >= '2025-01-07Z'", {"created_after": "2025-01-07T00:00:00Z"}),
    "to midnight": ("created_at < '2025-01-07Z'", {"created_before": "2025-01-06T23:59:59Z"}),
    "within a day": ("created_at BETWEEN '2025-01-07 03:00Z' AND '2025-01-07 21:00Z'",
                     {"created_after": "2025-01-07T03:00:00Z", "created_before": "2025-01-07T21:00:00Z"}),
}  # fmt: skip


@pytest.fixture
def old(server_url: str, tmp_path: Path) -> Iterator[str]:
    """A database of the version before, with tickets, some of them changed and not counted yet."""
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE before_marks")
    for migration in MIGRATIONS.glob("*.sql"):
        if migration.name < "0014":
            shutil.copy(migration, tmp_path)
    url = make_conninfo(server_url, dbname="before_marks")
    migrate(url, tmp_path)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(WORKSPACE)
        conn.execute(TICKETS, (1, 400))
        conn.execute(CHANGE)
    yield url
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE before_marks WITH (FORCE)")


def check(url: str) -> None:
    """Lists say of the tickets what the table says."""
    for name, (condition, query) in ASKED.items():
        asked = TicketsAsked(**query, per_page=100)
        answer = json.loads(run_with(url, lambda tx, asked=asked: service.find(tx, system("ws_1", "x"), asked), NOW))
        with psycopg.connect(url) as conn:
            rows = conn.execute(  # type: ignore[call-overload]
                f"SELECT id FROM tickets WHERE {condition} ORDER BY created_at DESC, id DESC"
            ).fetchall()
        assert answer["meta"]["total"] == len(rows) > 0, name
        assert [(item["id"],) for item in answer["data"]] == rows[:100], name


def test_tickets_of_before_and_after_are_found_alike(old: str) -> None:
    assert "0014_list_speed" in migrate(old)
    check(old)
    with psycopg.connect(old, autocommit=True) as conn:
        assert conn.execute("SELECT count(*) FROM ticket_mark_changes").fetchone() == (0,)
        conn.execute(TICKETS, (401, 430))
        conn.execute(CHANGE.replace("450", "500"))
    check(old)
    for fold in (store.fold_counts, marks.fold):
        assert run_with(old, fold, NOW) > 0
    check(old)


def waits(url: str, count: int) -> None:
    """Returns when as many sessions wait for a lock."""
    with psycopg.connect(url, autocommit=True) as conn:
        for _ in range(600):
            row = conn.execute(
                """SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            ).fetchone()
            if row == (count,):
                return
            time.sleep(0.05)
    raise AssertionError(f"{count} sessions never waited")


def test_who_writes_during_the_migration_is_found_after_it(old: str) -> None:
    """A migration that is held up half-way, and a writer that comes meanwhile."""

    def write() -> None:
        with psycopg.connect(old, autocommit=True) as conn:
            conn.execute(TICKETS, (401, 430))

    with ThreadPoolExecutor(2) as threads, psycopg.connect(old) as conn:
        conn.execute("LOCK TABLE ticket_rollups IN EXCLUSIVE MODE")
        migrating = threads.submit(migrate, old)
        waits(old, 1)
        writing = threads.submit(write)
        waits(old, 2)
        conn.rollback()
        assert "0014_list_speed" in migrating.result()
        writing.result()
    check(old)
    for fold in (store.fold_counts, marks.fold):
        assert run_with(old, fold, NOW) > 0
    check(old)
