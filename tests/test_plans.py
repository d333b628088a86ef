"""At 200,000 tickets the common calls read by index: no scan of a large table, and every index is entered by workspace.

The statements are the very ones that the calls run: they are taken down while the server answers, and explained both
for their values and as the generic plan that PostgreSQL may keep for a prepared statement.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conftest import House

from ticketry.db.pool import Tx, compiled

TICKETS = 200_000
LARGE = {"tickets", "ticket_words", "ticket_marks", "events", "comments", "resolutions", "vocabulary"}
Statement = tuple[str, Any]

LOAD = """
INSERT INTO tickets (workspace_id, id, number, subject, description, priority, status, category, assigned_to,
    contact_id, due_date, tags, created_at, updated_at, sla_since, response_due_at, resolution_due_at, response_met,
    resolution_met, resolved_at, closed_at)
SELECT %(ws)s, 'ticket_' || lpad(n::text, 9, '0'), n, 'Case w' || n %% 5000,
    CASE WHEN n %% 997 = 0 THEN 'needle' WHEN n %% 10 = 1 THEN 'hay' ELSE 'straw' END, 1 + n %% 4,
    CASE WHEN n %% 20 = 0 THEN 'open' WHEN n %% 50 = 1 THEN 'new' ELSE 'closed' END,
    CASE WHEN n %% 3 = 0 THEN 'c' || n %% 40 END,
    CASE n %% 500 WHEN 0 THEN 'user_jane_smith' WHEN 1 THEN 'user_bob_jones' END,
    CASE n %% 1000 WHEN 0 THEN 'contact_sam_taylor' END, CASE WHEN n %% 4 = 0 THEN at + interval '30 days' END,
    CASE n %% 200 WHEN 0 THEN ARRAY['vip'] WHEN 7 THEN ARRAY['vip', 'eu'] ELSE '{}' END, at, at + interval '1 hour', at,
    at + interval '1 day', at + interval '3 days',
    CASE WHEN NOT open THEN n %% 100 > 4 END, CASE WHEN NOT open THEN true END,
    CASE WHEN NOT open THEN at + interval '1 hour' END, CASE WHEN NOT open THEN at + interval '1 hour' END
FROM (SELECT n, timestamptz '2025-01-14 09:00Z' - make_interval(secs => (%(count)s - n) * 60) AS at,
             n %% 20 = 0 OR n %% 50 = 1 AS open
      FROM generate_series(1, %(count)s) AS n) AS g"""
"""`hay` stands in every tenth ticket, `needle` in one of a thousand."""
OTHERS = (
    """INSERT INTO events (workspace_id, id, type, ticket_id, actor_type, actor_id, actor_name, created_at, data)
       SELECT workspace_id, 'evt_' || number, 'ticket.created', id, 'system', 'x', 'x', created_at, '{}' FROM tickets
       WHERE workspace_id = %(ws)s AND number <= 50000""",
    """INSERT INTO comments (workspace_id, id, ticket_id, body, visibility, author_type, author_id, author_name,
           created_at)
       SELECT workspace_id, 'comment_' || number, id, 'Said', 'public', 'system', 'x', 'x', created_at FROM tickets
       WHERE workspace_id = %(ws)s AND number <= 20000""",
    """INSERT INTO resolutions (workspace_id, id, ticket_id, cycle, actor_type, actor_id, actor_name, resolved_at,
           closed_at)
       SELECT workspace_id, 'res_' || number, id, 1, 'system', 'x', 'x', closed_at, closed_at FROM tickets
       WHERE workspace_id = %(ws)s AND status = 'closed' AND number <= 20000""",
)


@pytest.fixture(scope="module")
def full(house: House) -> House:
    """The house with 200,000 tickets in the home workspace and 10,000 in another."""
    with psycopg.connect(house.database_url, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")
        conn.execute("SET maintenance_work_mem = '256MB'")
        conn.execute("SET session_replication_role = DEFAULT")
        other = LOAD.replace("'user_jane_smith'", "NULL").replace("'user_bob_jones'", "NULL")
        other = other.replace("'contact_sam_taylor'", "NULL")
        conn.execute(other, {"ws": house.cast.stranger_workspace_id, "count": TICKETS // 20})  # type: ignore[arg-type]
        values = {"ws": house.cast.workspace_id, "count": TICKETS}
        for query in (LOAD, *OTHERS):
            conn.execute(query, values)  # type: ignore[arg-type]
        while conn.execute("SELECT fold_ticket_marks(50000)").fetchone() != (0,):
            pass
        for table in sorted(LARGE | {"ticket_count_changes", "ticket_counts", "ticket_spans", "ticket_mark_changes"}):
            conn.execute(f"VACUUM (ANALYZE) {table}")  # type: ignore[arg-type]
    return house


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """Every statement that units of work run, with its values."""
    seen: list[Statement] = []
    run = Tx._run

    async def noted(self: Tx, query: str, params: Any, *rest: Any) -> Any:
        seen.append((query, params))
        return await run(self, query, params, *rest)

    monkeypatch.setattr(Tx, "_run", noted)
    return seen


def explained(conn: psycopg.Connection[Any], statement: Statement, mode: str) -> dict[str, Any]:
    """The plan of a statement: `force_custom_plan` for these values, `force_generic_plan` for any."""
    query, params = statement
    conn.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
    text, places, _ = compiled(query) if params is not None else (query, (), [])
    values = [params[place] for place in places] if params is not None else []
    cursor = psycopg.RawCursor(conn)
    cursor.execute(f"PREPARE explained AS {text}")  # type: ignore[arg-type]
    try:
        given = ", ".join(literal(value) for value in values)
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE explained{f'({given})' if values else ''}")  # type: ignore[arg-type]
        row = cursor.fetchone()
    finally:
        conn.execute("DEALLOCATE explained")
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def literal(value: Any) -> str:
    """A value as SQL text, its type left to the place where it stands."""
    return psycopg.sql.Literal(value).as_string(None).split("::")[0]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


def table_of(conn: psycopg.Connection[Any], index: str) -> str:
    row = conn.execute("SELECT tablename FROM pg_indexes WHERE indexname = %s", (index,)).fetchone()
    assert row is not None
    return str(row[0])


def check(conn: psycopg.Connection[Any], statement: Statement, mode: str) -> None:
    """Large tables are read by index only, and each look-up names the workspace first."""
    plan = explained(conn, statement, mode)
    told = f"{mode}\n{statement[0]}\n{statement[1]}\n{json.dumps(plan, indent=1)[:6000]}"
    for node in nodes(plan):
        if node["Node Type"] in {"Seq Scan", "Parallel Seq Scan"}:
            assert node["Relation Name"] not in LARGE, told
        if "Index Name" in node and table_of(conn, node["Index Name"]) in LARGE:
            assert re.match(r"\(*workspace_id\b", node.get("Index Cond", "")), told


CALLS = {
    "the newest": "",
    "the oldest": "sort_order=asc",
    **{f"by {by} upwards": f"sort_by={by}&sort_order=asc" for by in ("updated_at", "due_date", "priority")},
    **{f"by {by} downwards": f"sort_by={by}" for by in ("updated_at", "due_date", "priority")},
    "a numbered page": "page=20",
    "open": "status=open",
    "open and new": "status=open,new",
    "critical": "priority=1",
    "a category": "category=c3",
    "two categories": "category=c3,c6",
    "an agents": "assigned_to=user_jane_smith",
    "nobodys": "assigned_to=none",
    "nobodys open": "assigned_to=none&status=open",
    "an agents or nobodys": "assigned_to=user_jane_smith,none",
    "a customers": "contact_id=contact_sam_taylor",
    "of a day": "created_after=2024-12-01T00:00:00Z&created_before=2024-12-02T00:00:00Z",
    "of a month": "created_after=2024-11-15T12:00:00Z&created_before=2024-12-15T12:00:00Z",
    "since a month ago": "created_after=2024-12-15T00:00:00Z",
    "due this week": "due_after=2025-01-15T00:00:00Z&due_before=2025-01-22T00:00:00Z",
    "missed": "sla_breach=true",
    "missed and open": "sla_breach=true&status=open",
    "kept": "sla_breach=false",
    "tagged": "tags=vip",
    "tagged and open": "tags=vip&status=open",
    "tagged twice": "tags=vip,eu",
    "tagged of a day": "tags=vip&created_after=2024-12-01T00:00:00Z&created_before=2024-12-03T00:00:00Z",
    "tagged by due date": "tags=vip&sort_by=due_date",
    "missed by an agent": "sla_breach=true&assigned_to=user_jane_smith",
    "missed by a customer": "sla_breach=true&contact_id=contact_sam_taylor",
    "kept and tagged upwards": "sla_breach=false&tags=vip&sort_order=asc",
    "a common word of open ones": "search=hay&status=open,new",
    "a common word by priority": "search=hay&sort_by=priority",
    "a tagged word": "search=straw&tags=eu",
    "a common word": "search=hay",
    "a rare word": "search=needle",
    "a rare word of open ones": "search=needle&status=open",
    "a part of a word": "search=eedl",
    "a beginning": "search=w49",
    "a phrase": "search=%22case w77%22",
    "two words": "search=hay w77",
    "a number": "search=TICK-777",
    "a word by due date": "search=needle&sort_by=due_date",
}  # fmt: skip


def check_all(house: House, statements: list[Statement], path: str) -> dict[str, Any]:
    """The answer of a call, after whose statements have been explained."""
    client = house.client(house.cast.reader)
    client.get("/v1/users/user_jane_smith")
    statements.clear()
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found = list(statements)
    assert found
    with psycopg.connect(house.database_url, autocommit=True) as conn:
        conn.execute("SET timezone = 'UTC'")
        for statement in found:
            for mode in ("force_custom_plan", "force_generic_plan"):
                check(conn, statement, mode)
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("query", CALLS.values(), ids=CALLS)
def test_lists_and_searches_read_by_index(full: House, statements: list[Statement], query: str) -> None:
    found = check_all(full, statements, f"/v1/tickets?{query}")
    assert found["data"]
    assert found["meta"]["total"] >= len(found["data"])


@pytest.mark.parametrize("sort_by", ["created_at", "updated_at", "due_date", "priority"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_deep_cursor_is_entered_at_its_place(
    full: House, statements: list[Statement], sort_by: str, order: str
) -> None:
    client = full.client(full.cast.reader)
    asked = f"/v1/tickets?sort_by={sort_by}&sort_order={order}&per_page=100"
    cursor = client.get(f"{asked}&page=400").json()["meta"]["next_cursor"]
    found = check_all(full, statements, f"{asked}&cursor={cursor}")
    assert len(found["data"]) == 100
    with psycopg.connect(full.database_url, autocommit=True) as conn:
        page = next(statement for statement in statements if "LIMIT" in statement[0])
        plan = explained(conn, page, "force_custom_plan")
    reading = [node for node in nodes(plan) if node.get("Relation Name") == "tickets"]
    assert all("Index Cond" in node for node in reading)
    assert any(sort_by in node["Index Cond"] for node in reading), json.dumps(plan, indent=1)
    for sort in (node for node in nodes(plan) if node["Node Type"] == "Sort"):
        assert all(limited(inner) for inner in sort["Plans"]), json.dumps(plan, indent=1)


def limited(plan: dict[str, Any]) -> bool:
    """Whether no more comes out of a plan than a page holds."""
    inner = plan.get("Plans", [])
    return plan["Node Type"] == "Limit" or (bool(inner) and all(limited(one) for one in inner))


def test_an_unfiltered_total_looks_at_no_ticket(full: House, statements: list[Statement]) -> None:
    found = check_all(full, statements, "/v1/tickets?status=closed,open&priority=1,2&per_page=1")
    assert found["meta"]["total"] > 50_000
    with psycopg.connect(full.database_url, autocommit=True) as conn:
        plan = explained(conn, statements[-1], "force_custom_plan")
    sums = [node for node in nodes(plan) if node["Node Type"] == "Aggregate"]
    assert len(sums) == 2
    for one in sums:
        assert {node.get("Relation Name") for node in nodes(one)} <= {None, "ticket_counts", "ticket_count_changes"}


@pytest.mark.parametrize("what", ["", "/events", "/comments", "/resolutions", "/sla"])
@pytest.mark.parametrize("reference", ["ticket_000000802", "TICK-802"])
def test_one_ticket_and_what_hangs_on_it_are_read_by_index(
    full: House, statements: list[Statement], reference: str, what: str
) -> None:
    found = check_all(full, statements, f"/v1/tickets/{reference}{what}")
    assert found["data"]


def test_totals_of_the_loaded_table_are_exact(full: House) -> None:
    client = full.client(full.cast.reader)
    for query in ("", "status=open", "priority=2", "search=needle", "tags=vip", "assigned_to=none"):
        total = client.get(f"/v1/tickets?per_page=1&{query}").json()["meta"]["total"]
        where = {
            "": "true", "status=open": "status = 'open'", "priority=2": "priority = 2", "tags=vip": "'vip' = ANY(tags)",
            "search=needle": "description = 'needle'", "assigned_to=none": "assigned_to IS NULL",
        }[query]  # fmt: skip
        rows = full.sql(f"SELECT count(*) FROM tickets WHERE workspace_id = '{full.cast.workspace_id}' AND {where}")
        assert rows == [(total,)]
