"""Whole tables of a workspace in SQL: out as lines of JSON, in again with every constraint checked."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import DataError, Error, IntegrityError
from psycopg.errors import ProgramLimitExceeded, StatementTooComplex
from psycopg.types.json import Jsonb

from ticketry.db.copying import LINES, copied
from ticketry.db.pool import Tx
from ticketry.transfer.folders.models import STAY_WITH_WORKSPACE, Kept, Table

REFUSALS = (IntegrityError, DataError, ProgramLimitExceeded, StatementTooComplex)
"""What the database says to a row that cannot be."""


async def erasing(tx: Tx, workspace_id: str) -> str | None:
    """An erasure of the workspace that has not ended."""
    row = await tx.one("SELECT id FROM erasures WHERE workspace_id = %s AND finished_at IS NULL", (workspace_id,))
    return str(row[0]) if row else None


async def columns(tx: Tx, table: Table) -> list[str]:
    """The columns that are taken along."""
    return await _columns(tx, table.name, ("workspace_id", *table.stay))


async def _columns(tx: Tx, table: str, stay: Sequence[str]) -> list[str]:
    rows = await tx.all(
        """SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
               AND attname <> ALL(%s) ORDER BY attnum""",
        (table, list(stay)),
    )
    return [str(row[0]) for row in rows]


async def count(tx: Tx, workspace_id: str, table: Table) -> int:
    """How many rows there are to take along."""
    row = await tx.one(f"SELECT count(*) FROM {table.name} WHERE workspace_id = %s AND {table.only}", (workspace_id,))
    return int(row[0]) if row else 0


def lines(tx: Tx, workspace_id: str, table: Table, names: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """The rows of a table as lines of JSON, in blocks."""
    shown = dict(table.shown)
    chosen = ", ".join(f"{shown[name]} AS {name}" if name in shown else name for name in names)
    query = f"""SELECT row_to_json(r) FROM (SELECT {chosen} FROM {table.name}
        WHERE workspace_id = %(workspace_id)s AND {table.only} ORDER BY {table.order}) AS r"""
    return copied(tx, query, {"workspace_id": workspace_id}, LINES)


async def workspace(tx: Tx, workspace_id: str) -> tuple[dict[str, Any], list[str]]:
    """The workspace's own row, and its columns."""
    names = await workspace_columns(tx)
    row = await tx.one(
        f"SELECT to_jsonb(w) FROM (SELECT {', '.join(names)} FROM workspaces WHERE id = %s) AS w", (workspace_id,)
    )
    assert row is not None
    return row[0], names


async def workspace_columns(tx: Tx) -> list[str]:
    """The columns of a workspace that are taken along."""
    return await _columns(tx, "workspaces", STAY_WITH_WORKSPACE)


async def last_number(tx: Tx, workspace_id: str) -> int:
    """The last ticket number that was given, 0 before the first."""
    row = await tx.one(
        "SELECT coalesce(pg_sequence_last_value(format('numbers.%%I', %s::text)::regclass), 0)", (workspace_id,)
    )
    return int(row[0]) if row else 0


async def kept(tx: Tx, workspace_id: str, after: str) -> list[Kept]:
    """The next attachments whose bytes are there, by id."""
    return await tx.all_of(
        Kept,
        """SELECT id, size, sha256 FROM attachments
           WHERE workspace_id = %s AND id > %s AND state = 'kept' AND ticket_id IS NOT NULL ORDER BY id LIMIT 1000""",
        (workspace_id, after),
    )


async def attachments(tx: Tx, workspace_id: str) -> AsyncIterator[Kept]:
    """All attachments whose bytes are there, by id."""
    after = ""
    while batch := await kept(tx, workspace_id, after):
        for one in batch:
            yield one
        after = batch[-1].id


# ---- in again


async def used_for(tx: Tx, workspace_id: str) -> str | None:
    """What a workspace holds that an import would be mixed with; None if it is as good as new."""
    row = await tx.one(
        """SELECT CASE WHEN EXISTS (SELECT FROM tickets WHERE workspace_id = %(id)s) THEN 'tickets'
                WHEN EXISTS (SELECT FROM events WHERE workspace_id = %(id)s) THEN 'events'
                WHEN EXISTS (SELECT FROM contacts WHERE workspace_id = %(id)s) THEN 'contacts'
                WHEN EXISTS (SELECT FROM sla_calendars WHERE workspace_id = %(id)s) THEN 'calendars'
                WHEN EXISTS (SELECT FROM mail_settings WHERE workspace_id = %(id)s) THEN 'mail settings'
                WHEN EXISTS (SELECT FROM mail_templates WHERE workspace_id = %(id)s) THEN 'mail templates'
                WHEN (SELECT count(*) FROM sla_policy_versions WHERE workspace_id = %(id)s) > 1 THEN 'policies' END""",
        {"id": workspace_id},
    )
    return row[0] if row else None


async def set_workspace(tx: Tx, workspace_id: str, row: dict[str, Any], names: Sequence[str]) -> None:
    """Gives a workspace these settings."""
    await tx.execute(
        f"""UPDATE workspaces w SET ({", ".join(names)}) = (SELECT {", ".join(names)}
                FROM jsonb_populate_record(NULL::workspaces, %(row)s)) WHERE id = %(id)s""",
        {"id": workspace_id, "row": Jsonb(row)},
    )


async def make_room(tx: Tx) -> None:
    """A place for the lines of one file at a time."""
    await tx.execute(
        """CREATE TEMPORARY TABLE incoming (line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, row jsonb NOT NULL)
           ON COMMIT DROP"""
    )


async def receive(tx: Tx, blocks: AsyncIterator[bytes]) -> int:
    """Takes the lines of a file; how many. Raises one of psycopg's errors, whose context names the line."""
    await tx.execute("TRUNCATE incoming RESTART IDENTITY")
    cursor = (await tx.conn()).cursor()
    async with cursor.copy(f"COPY incoming (row) FROM STDIN {LINES}".encode()) as out:
        async for block in blocks:
            await out.write(block)
    await tx.execute("ANALYZE incoming")
    return cursor.rowcount


async def misshapen(tx: Tx, names: Sequence[str]) -> tuple[int, str | None, str | None] | None:
    """The first line that has not exactly these fields: its number, a field that it lacks, one that it has too much;
    neither if it is no object.
    """
    row = await tx.one(
        """SELECT line, CASE jsonb_typeof(row) WHEN 'object' THEN
                      (SELECT n FROM unnest(%(names)s::text[]) AS n WHERE NOT row ? n LIMIT 1) END,
                  CASE jsonb_typeof(row) WHEN 'object' THEN
                      (SELECT k FROM jsonb_object_keys(row) AS k WHERE k <> ALL(%(names)s::text[]) LIMIT 1) END
           FROM incoming WHERE CASE jsonb_typeof(row) WHEN 'object'
               THEN NOT row ?& %(names)s::text[] OR row - %(names)s::text[] <> '{}' ELSE true END
           ORDER BY line LIMIT 1""",
        {"names": list(names)},
    )
    return None if row is None else (row[0], row[1], row[2])


async def no_instants(tx: Tx, table: str) -> tuple[int, str, str] | None:
    """The first line with an instant that is not written as one: line, field, value. (PostgreSQL takes `yesterday`.)"""
    row = await tx.one(
        """SELECT i.line, a.attname::text, i.row ->> a.attname::text FROM pg_attribute a CROSS JOIN incoming i
           WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND a.atttypid = 'instant'::regtype
               AND i.row ->> a.attname::text NOT LIKE '____-__-__T__:__:__+00:00'
               AND i.row ->> a.attname::text NOT LIKE '____-__-__T__:__:__Z'
           ORDER BY 1, 2 LIMIT 1""",
        {"table": table},
    )
    return None if row is None else (row[0], row[1], row[2])


def received(tx: Tx, names: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """These fields of the lines received, as lines of JSON, in blocks."""
    chosen = ", ".join(f"'{name}', row -> '{name}'" for name in names)
    return copied(tx, f"SELECT jsonb_build_object({chosen}) FROM incoming ORDER BY line", {}, LINES)


async def holds(tx: Tx, row_id: str) -> bool:
    """Whether one of the lines received has this id."""
    return await tx.one("SELECT FROM incoming WHERE row ->> 'id' = %s", (row_id,)) is not None


async def unpromised(tx: Tx, workspace_id: str) -> tuple[int, str] | None:
    """The first of the policies received whose newest version is not there: line and version."""
    row = await tx.one(
        """SELECT line, row ->> 'version' FROM incoming
           WHERE NOT EXISTS (SELECT FROM sla_policy_versions WHERE workspace_id = %s AND policy_id = row ->> 'id'
               AND version = (row ->> 'version')::integer) ORDER BY line LIMIT 1""",
        (workspace_id,),
    )
    return None if row is None else (row[0], row[1])


async def insert(tx: Tx, workspace_id: str, table: Table, names: Sequence[str], first: int, last: int) -> None:
    """Stores the lines from `first` to `last` as rows of a table. All of them or, with one of `REFUSALS`, none."""
    chosen = ", ".join(names)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    there = f"ON CONFLICT (workspace_id, id) DO UPDATE SET {replaced}" if table.replaces else ""
    async with savepoint(tx):
        await tx.execute(
            f"""INSERT INTO {table.name} (workspace_id, {chosen})
                SELECT %(workspace_id)s, {", ".join(f"r.{name}" for name in names)}
                FROM incoming i CROSS JOIN LATERAL jsonb_populate_record(NULL::{table.name}, i.row) AS r
                WHERE i.line BETWEEN %(first)s AND %(last)s ORDER BY i.line {there}""",
            {"workspace_id": workspace_id, "first": first, "last": last},
        )


async def complete(tx: Tx, workspace_id: str, table: Table) -> None:
    """Gives the rows of the lines received the values that had to wait."""
    await tx.execute(
        f"""UPDATE {table.name} t SET {", ".join(f"{name} = r.{name}" for name in table.later)}
            FROM incoming i CROSS JOIN LATERAL jsonb_populate_record(NULL::{table.name}, i.row) AS r
            WHERE t.workspace_id = %(workspace_id)s AND t.id = r.id""",
        {"workspace_id": workspace_id},
    )


async def defer(tx: Tx) -> None:
    """References between rows of one table may wait until all of them are there, see `dangling`."""
    await tx.execute("SET CONSTRAINTS ALL DEFERRED")


async def dangling(tx: Tx, workspace_id: str, table: Table) -> tuple[int, str, str] | None:
    """The first line received that points to a row of its own table which is not there: line, field and value."""
    fields = await tx.all(
        """SELECT a.attname::text FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[cardinality(c.conkey)]
           WHERE c.contype = 'f' AND c.conrelid = %(table)s::regclass AND c.confrelid = c.conrelid ORDER BY 1""",
        {"table": table.name},
    )
    for (field,) in fields:
        row = await tx.one(
            f"""SELECT line, named FROM (SELECT line, row ->> %(field)s::text AS named FROM incoming) AS i
                WHERE named IS NOT NULL AND NOT EXISTS (
                    SELECT FROM {table.name} t WHERE t.workspace_id = %(workspace_id)s AND t.id = named)
                ORDER BY line LIMIT 1""",
            {"field": field, "workspace_id": workspace_id},
        )
        if row is not None:
            return row[0], field, row[1]
    await tx.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return None


async def unreadable(tx: Tx, table: Table, names: Sequence[str], line: int) -> tuple[str, Error] | None:
    """The field of a line that is no value of its column, and why; None if each is one by itself."""
    for name in names:
        try:
            async with savepoint(tx):
                await tx.one(
                    f"""SELECT (jsonb_populate_record(NULL::{table.name}, jsonb_build_object(%(name)s::text,
                            row -> %(name)s::text))).{name} FROM incoming WHERE line = %(line)s""",
                    {"name": name, "line": line},
                )
        except REFUSALS as error:
            return name, error
    return None


@asynccontextmanager
async def savepoint(tx: Tx) -> AsyncIterator[None]:
    """What fails inside is undone; what was done before stays."""
    conn = await tx.conn()
    async with conn.transaction():
        yield


async def settle_feed(tx: Tx, workspace_id: str) -> None:
    """What happened before is nobody's news: it is not handed on to webhooks or mail once more."""
    await tx.execute(
        """INSERT INTO feed_cursors (workspace_id, transaction_id, position)
           SELECT workspace_id, transaction_id, position FROM events WHERE workspace_id = %s
           ORDER BY transaction_id DESC, position DESC LIMIT 1
           ON CONFLICT (workspace_id) DO UPDATE
               SET transaction_id = excluded.transaction_id, position = excluded.position""",
        (workspace_id,),
    )


async def move_numbers(tx: Tx, workspace_id: str, last: int) -> None:
    """The next ticket's number comes after this one and after every ticket's."""
    await tx.execute(
        """SELECT setval(format('numbers.%%I', %(id)s::text)::regclass, highest) FROM (
               SELECT greatest(%(last)s::bigint, max(number)) AS highest FROM tickets WHERE workspace_id = %(id)s) AS n
           WHERE highest > 0""",
        {"id": workspace_id, "last": last},
    )
