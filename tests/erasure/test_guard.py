"""Events stay append-only but for an erasure's one way in, which takes words out and nothing else."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conftest import House
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, IntegrityError

ERASE = """INSERT INTO event_erasures (workspace_id, event_id, erasure_id, erased_at, actor_name, data)
           VALUES (%s, %s, %s, now(), %s, %s::jsonb)"""


@pytest.fixture
def event(house: House) -> tuple[str, dict[str, Any]]:
    """An event of a new ticket: its id and data."""
    ticket = house.ticket(contact_id=house.cast.customer_id)
    (row,) = house.sql("SELECT id, data FROM events WHERE ticket_id = %s", (ticket["id"],))
    return row


@pytest.fixture
def running(house: House) -> Iterator[str]:
    """An erasure that has not ended."""
    run_id = f"erasure_{uuid.uuid4().hex}"
    house.sql(
        """INSERT INTO erasures (workspace_id, id, kind, closed_before, stage, sought, actor_type, actor_id, actor_name,
               started_at) VALUES (%s, %s, 'retention', now(), 'tickets', '{}', 'system', 's', 's', now())""",
        (house.cast.workspace_id, run_id),
    )
    yield run_id
    house.sql("UPDATE erasures SET finished_at = now(), sought = NULL WHERE id = %s", (run_id,))


CHANGES = [
    "UPDATE events SET actor_name = 'x'", "UPDATE events SET data = '{}'", "DELETE FROM events",
    "TRUNCATE events",
    "MERGE INTO events e USING (VALUES (1)) v (n) ON true WHEN MATCHED THEN UPDATE SET actor_name = 'x'",
    "WITH x AS (UPDATE events SET actor_name = 'x' RETURNING 1) SELECT * FROM x",
    "DO $$ BEGIN UPDATE events SET actor_name = 'erase_event()'; END $$",
    "DO $$ BEGIN /* erase_event() */ UPDATE events SET actor_name = 'x' /* PL/pgSQL function erase_event() */; END $$",
    "UPDATE event_erasures SET erased_at = now()", "DELETE FROM event_erasures", "TRUNCATE event_erasures",
]  # fmt: skip
FLAGS = ["", "SET ticketry.erasing = 'on'", "SET app.erasing = 'true'", "SET search_path = pg_temp, public"]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_an_event(
    house: House, event: tuple[str, dict[str, Any]], running: str, change: str, flag: str
) -> None:
    """Not even while an erasure runs, and whatever flag is set by hand."""
    before = house.sql("SELECT to_jsonb(e) FROM events e ORDER BY position")
    with psycopg.connect(house.database_url, autocommit=True) as conn:
        if flag:
            conn.execute(sql.SQL(flag))  # type: ignore[arg-type]
        with pytest.raises(InsufficientPrivilege):
            conn.execute(sql.SQL(change))  # type: ignore[arg-type]
    assert house.sql("SELECT to_jsonb(e) FROM events e ORDER BY position") == before


def test_the_way_in_is_shut_when_no_erasure_runs(house: House, event: tuple[str, dict[str, Any]]) -> None:
    event_id, data = event
    ended = [row[0] for row in house.sql("SELECT id FROM erasures")]
    assert ended
    for erasure in ("erasure_none", *ended[:2]):
        with pytest.raises(InsufficientPrivilege):
            house.sql(ERASE, (house.cast.workspace_id, event_id, erasure, "x", json.dumps(data)))


def test_an_erasure_of_another_workspace_opens_nothing(
    house: House, event: tuple[str, dict[str, Any]], running: str
) -> None:
    event_id, data = event
    with pytest.raises(InsufficientPrivilege):
        house.sql(ERASE, (house.cast.stranger_workspace_id, event_id, running, "x", json.dumps(data)))


@pytest.mark.parametrize(
    "change",
    [
        {"ticket": {"status": "closed"}}, {"ticket": {"priority": 1}}, {"ticket": {"customer_satisfaction": 1}},
        {"ticket": {"sla": {}}}, {"ticket": {"id": "ticket_x"}}, {"changes": {"status": {"from": "a", "to": "b"}}},
        {"comment": {"visibility": "public", "author": {"type": "user"}}}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_erasure_takes_words_and_nothing_else(
    house: House, event: tuple[str, dict[str, Any]], running: str, change: dict[str, Any]
) -> None:
    event_id, data = event
    other = {**data, **{name: {**data.get(name, {}), **part} if isinstance(part, dict) else part
                        for name, part in change.items()}}  # fmt: skip
    with pytest.raises(InsufficientPrivilege):
        house.sql(ERASE, (house.cast.workspace_id, event_id, running, "x", json.dumps(other)))
    assert house.sql("SELECT data FROM events WHERE id = %s", (event_id,)) == [(data,)]


def test_words_go_and_are_not_kept_on_the_way(house: House, event: tuple[str, dict[str, Any]], running: str) -> None:
    event_id, data = event
    left = {**data, "ticket": {**data["ticket"], "subject": "[erased]"}}
    house.sql(ERASE, (house.cast.workspace_id, event_id, running, "[erased]", json.dumps(left)))
    assert house.sql("SELECT actor_name, data FROM events WHERE id = %s", (event_id,)) == [("[erased]", left)]
    assert house.sql("SELECT actor_name, data FROM event_erasures WHERE event_id = %s", (event_id,)) == [(None, None)]


def test_the_table_holds_an_erased_contact_empty(house: House) -> None:
    with pytest.raises(IntegrityError):
        house.sql("UPDATE contacts SET erased_at = now() WHERE id = %s", (house.cast.customer_id,))


GRANTS = """CREATE ROLE writer_of_rows; GRANT USAGE ON SCHEMA public TO writer_of_rows;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer_of_rows;
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer_of_rows;
            SET LOCAL ROLE writer_of_rows;"""
NAMESAKE = """CREATE FUNCTION pg_temp.erase_event() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN UPDATE public.events SET actor_name = 'forged'; RETURN new; END $$;
              CREATE TEMP TABLE own (n integer);
              CREATE TRIGGER own BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION pg_temp.erase_event();
              INSERT INTO own VALUES (1);"""
PERMIT = """INSERT INTO public.event_openings (workspace_id, event_id) SELECT workspace_id, id FROM events LIMIT 1;"""
SHADOWED = """CREATE TEMP TABLE event_openings (transaction_id xid8);
              INSERT INTO event_openings VALUES (pg_current_xact_id());"""
BORROWED = """CREATE TEMP TABLE own (workspace_id text, event_id text, erasure_id text, actor_name text, data jsonb);
              CREATE TRIGGER own BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION public.erase_event();
              INSERT INTO own SELECT e.workspace_id, e.id, r.id, 'forged', e.data FROM events e
              JOIN erasures r ON r.workspace_id = e.workspace_id AND r.finished_at IS NULL;"""


def tried(house: House, *parts: str) -> None:
    """Runs statements in one transaction, which is undone."""
    with psycopg.connect(house.database_url) as conn:
        try:
            for part in parts:
                conn.execute(part)  # type: ignore[arg-type]
        finally:
            conn.rollback()


@pytest.mark.parametrize("forgery", [NAMESAKE, SHADOWED + NAMESAKE, PERMIT + NAMESAKE, BORROWED])
def test_who_may_write_rows_cannot_forge_the_way_in(
    house: House, event: tuple[str, dict[str, Any]], running: str, forgery: str
) -> None:
    """Not with a trigger of their own either, whatever it is called, and however much they were granted."""
    with pytest.raises(InsufficientPrivilege):
        tried(house, GRANTS, forgery)


@pytest.mark.parametrize("forgery", [NAMESAKE, SHADOWED + NAMESAKE, BORROWED])
def test_the_owner_does_not_get_in_by_a_namesake(
    house: House, event: tuple[str, dict[str, Any]], running: str, forgery: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        tried(house, forgery)


def test_who_may_write_rows_erases_like_the_owner(
    house: House, event: tuple[str, dict[str, Any]], running: str
) -> None:
    event_id, data = event
    with psycopg.connect(house.database_url) as conn:
        conn.execute(GRANTS)
        conn.execute(ERASE, (house.cast.workspace_id, event_id, running, "[erased]", json.dumps(data)))
        assert conn.execute("SELECT count(*) FROM event_openings").fetchone() == (0,)
        assert conn.execute("SELECT actor_name FROM events WHERE id = %s", (event_id,)).fetchone() == ("[erased]",)
        conn.rollback()
