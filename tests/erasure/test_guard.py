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


FORGED = """CREATE FUNCTION pg_temp.erase_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE events SET actor_name = new.actor_name, data = new.data
    WHERE id = new.event_id{more};
    RETURN new; END $$"""
CALLS_IT = """CREATE TRIGGER t BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION {}"""


@pytest.mark.parametrize(
    "makes",
    [
        [FORGED.format(more=""), CALLS_IT.format("pg_temp.erase_event()")],
        [
            FORGED.format(more='/*"\nPL/pgSQL function erase_event() line 7 at SQL statement\n*/'),
            CALLS_IT.format("pg_temp.erase_event()"),
        ],
        [CALLS_IT.format("public.erase_event()")],
    ],
    ids=["the same name", "the words of the guard", "the genuine one elsewhere"],
)
def test_no_table_of_ones_own_opens_the_way(
    house: House, event: tuple[str, dict[str, Any]], running: str, makes: list[str]
) -> None:
    before = house.sql("SELECT to_jsonb(e) FROM events e ORDER BY position")
    with psycopg.connect(house.database_url) as conn:
        conn.execute("CREATE TEMP TABLE own (LIKE event_erasures)")
        for statement in makes:
            conn.execute(statement)  # type: ignore[call-overload]
        query = ERASE.replace("event_erasures", "own")
        data = json.dumps(event[1])
        with pytest.raises(InsufficientPrivilege):
            conn.execute(query, (house.cast.workspace_id, event[0], running, "HACKED", data))  # type: ignore[call-overload]
    assert house.sql("SELECT to_jsonb(e) FROM events e ORDER BY position") == before
