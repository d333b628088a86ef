"""The schema itself, read from the catalogue: sealed by workspace, and deaf to nonsense."""

from typing import Any

import psycopg
import pytest
from conftest import House
from kit import close

NOT_OF_A_TENANT = {"agencies", "workspaces", "rate_counters", "feed_cluster", "secrets"}
FOREIGN = ("procrastinate_", "_yoyo", "yoyo_")


def ours(name: str) -> bool:
    return not name.startswith(FOREIGN)


def tenant_tables(house: House) -> list[str]:
    rows = house.sql(
        """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
           WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND a.attname = 'workspace_id'"""
    )
    found = sorted(name for (name,) in rows if ours(name))
    assert {"tickets", "resolutions", "events", "users", "contacts", "api_keys", "comments"} <= set(found)
    return found


def test_every_table_belongs_to_a_workspace(house: House) -> None:
    tables = house.sql(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    assert {name for (name,) in tables if ours(name)} - set(tenant_tables(house)) == NOT_OF_A_TENANT


def test_every_key_and_unique_index_of_a_tenant_begins_with_the_workspace(house: House) -> None:
    for table in tenant_tables(house):
        indexes = house.sql(
            """SELECT i.indexrelid::regclass::text, i.indisprimary,
                      (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0])
               FROM pg_index i WHERE i.indrelid = %s::regclass AND (i.indisunique OR i.indisprimary)""",
            (table,),
        )
        assert any(primary for _, primary, _ in indexes), f"{table} has no primary key"
        for index, _, first in indexes:
            assert first == "workspace_id", index


def test_every_reference_between_tenants_tables_stays_in_the_workspace(house: House) -> None:
    rows = house.sql(
        """SELECT c.conname, a.attname, c.confrelid::regclass::text FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'"""
    )
    tables = set(tenant_tables(house))
    checked = [name for name, first, target in rows if target in tables and first == "workspace_id"]
    assert len(checked) >= 7
    assert not [name for name, first, target in rows if target in tables and first != "workspace_id"]


def test_every_tenant_row_names_its_workspace(house: House) -> None:
    for table in tenant_tables(house):
        nullable = house.sql(
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'workspace_id'", (table,)
        )
        assert nullable == [(True,)], table


def test_every_instant_is_kept_with_its_zone_and_in_whole_seconds(house: House) -> None:
    rows = house.sql(
        """SELECT table_name, column_name, data_type, datetime_precision FROM information_schema.columns
           WHERE table_schema = 'public' AND data_type LIKE 'timestamp%'"""
    )
    wrong = [row for row in rows if ours(row[0]) and (row[2], row[3]) != ("timestamp with time zone", 0)]
    assert wrong == []


@pytest.fixture(scope="module")
def closed(house: House) -> dict[str, Any]:
    ticket = house.ticket(assigned_to=house.cast.agent_id, contact_id=house.cast.customer_id)
    return close(house, ticket, customer_satisfaction=5)


TICKET_NONSENSE = [
    "subject = ''", "subject = NULL", "subject = repeat('x', 201)", "description = ''",
    "description = repeat('x', 10001)", "priority = 0", "priority = 5", "priority = NULL", "status = 'frozen'",
    "status = 'Closed'", "status = 'open'", "closed_at = NULL", "resolved_at = NULL", "category = ''",
    "category = repeat('x', 101)", "contact_id = 'contact_nobody'", "contact_id = 'contact_mallory'",
    "assigned_to = 'user_nobody'", "assigned_to = 'user_eve_stranger'", "follow_up_of = 'ticket_nobody'",
    "follow_up_of = id", "duplicate_of = 'ticket_nobody'", "duplicate_of = id",
    "resolution_note = repeat('x', 5001)", "customer_satisfaction = 0", "customer_satisfaction = 11",
    "customer_satisfaction = NULL", "satisfaction_source = NULL", "satisfaction_source = 'robot'",
    "resolution_time = -1", "resolution_time = 5256001", "root_cause = ''", "root_cause = repeat('x', 101)",
    "reopen_count = -1", "number = 0", "version = 0", "number = NULL", "workspace_id = 'ws_nobody'",
    "workspace_id = NULL", "id = NULL", "id = ''", "id = repeat('x', 65)", "conversation_id = repeat('x', 65)",
    "tags = array_fill('x'::text, ARRAY[51])", "tags = NULL", "custom_fields = NULL", "metadata = NULL",
    "created_at = NULL", "updated_at = NULL", "response_spent = -1", "resolution_spent = -1",
]  # fmt: skip
RESOLUTION_NONSENSE = [
    "resolution_note = repeat('x', 5001)", "customer_satisfaction = 0", "customer_satisfaction = 11",
    "satisfaction_source = NULL", "satisfaction_source = 'robot'", "resolution_time = -1",
    "resolution_time = 5256001", "root_cause = ''", "root_cause = repeat('x', 101)", "cycle = 0", "cycle = NULL",
    "ticket_id = 'ticket_nobody'", "ticket_id = NULL", "closed_at = NULL", "resolved_at = NULL", "actor_id = NULL",
]  # fmt: skip
OTHER_NONSENSE = [
    ("users", "role = 'king'"), ("users", "name = ''"), ("users", "email = 'x'"), ("users", "email = NULL"),
    ("users", "email = 'BOB_JONES@example.com' WHERE id = 'user_jane_smith'"),
    ("contacts", "phone = '0123'"), ("contacts", "name = repeat('x', 201)"), ("contacts", "email = 'x'"),
    ("contacts", "tags = array_fill('x'::text, ARRAY[51])"),
    ("api_keys", "scopes = '{}'"), ("api_keys", "key_hash = 'short'"), ("api_keys", "user_id = 'user_nobody'"),
    ("api_keys", "name = ''"), ("api_keys", "key_hash = NULL"),
    ("workspaces", "environment = 'prod'"), ("workspaces", "tier = 'gold'"), ("workspaces", "minute_limit = 0"),
    ("workspaces", "day_limit = -5"), ("workspaces", "reopen_window_days = -1"), ("workspaces", "agency_id = 'none'"),
]  # fmt: skip


@pytest.mark.parametrize("change", TICKET_NONSENSE)
def test_a_ticket_refuses_nonsense(house: House, closed: dict[str, Any], change: str) -> None:
    with pytest.raises(psycopg.IntegrityError):
        house.sql(f"UPDATE tickets SET {change} WHERE id = %s", (closed["id"],))


@pytest.mark.parametrize("change", RESOLUTION_NONSENSE)
def test_a_resolution_refuses_nonsense(house: House, closed: dict[str, Any], change: str) -> None:
    with pytest.raises(psycopg.IntegrityError):
        house.sql(f"UPDATE resolutions SET {change} WHERE ticket_id = %s", (closed["id"],))


@pytest.mark.parametrize(("table", "change"), OTHER_NONSENSE)
def test_other_tables_refuse_nonsense(house: House, table: str, change: str) -> None:
    with pytest.raises(psycopg.IntegrityError):
        house.sql(f"UPDATE {table} SET {change}")


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("tickets", {"id": "ticket_second"}),
        ("tickets", {"number": 900_001}),
        ("resolutions", {"id": "res_second"}),
        ("users", {"email": "second@example.com"}),
        ("users", {"id": "user_second"}),
        ("api_keys", {}),
    ],
)
def test_what_is_unique_cannot_be_stored_twice(
    house: House, closed: dict[str, Any], table: str, changed: dict[str, Any]
) -> None:
    columns = ", ".join(
        name
        for (name,) in house.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_identity = 'NO'", (table,)
        )
    )
    values = ", ".join(f"'{changed[name]}'" if name in changed else name for name in columns.split(", "))
    with pytest.raises(psycopg.errors.UniqueViolation):
        house.sql(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} LIMIT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'ticket.updated'",
        "UPDATE events SET data = '{}' WHERE false",
        "DELETE FROM events",
        "DELETE FROM events WHERE ticket_id = 'x'",
        "TRUNCATE events",
        "TRUNCATE tickets CASCADE",
        "MERGE INTO events e USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "INSERT INTO events SELECT * FROM events ON CONFLICT (workspace_id, id) DO UPDATE SET type = 'x'",
    ],
)
def test_events_are_append_only_even_for_the_owner(house: House, closed: dict[str, Any], statement: str) -> None:
    owner = house.sql("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'events'")
    assert owner == [(True,)]
    before = house.sql("SELECT * FROM events ORDER BY position")
    assert before
    with pytest.raises(psycopg.Error) as refusal:
        house.sql(statement)
    assert "append-only" in str(refusal.value) or "GENERATED ALWAYS" in str(refusal.value)
    assert house.sql("SELECT * FROM events ORDER BY position") == before


def test_what_every_close_writes_has_checks_between_columns_only(database_url: str) -> None:
    """PostgreSQL reads CHECKs anew for every statement: a limit of one column is a domain, see decision 18."""
    with psycopg.connect(database_url) as conn:
        found = conn.execute(
            """SELECT conrelid::regclass::text, conname FROM pg_constraint
               WHERE contype = 'c' AND conrelid IN ('tickets'::regclass, 'resolutions'::regclass)
                   AND cardinality(conkey) < 2"""
        ).fetchall()
    assert not found
