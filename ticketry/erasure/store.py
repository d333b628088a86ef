"""Erasures in SQL: how far they are, and the rows that they go through. The tables are those of `places`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from ticketry.core.actor import Actor
from ticketry.core.text import like
from ticketry.db.pool import Tx
from ticketry.erasure.models import Run
from ticketry.erasure.places import SQL_TYPES, Place
from ticketry.tickets.models import Ticket
from ticketry.tickets.store import TICKET_COLUMNS, TICKET_SOURCE

_RUN = """workspace_id, id, kind, contact_id, closed_before, stage, place, halvings, settled::text AS settled, sought,
          counts, actor_type, actor_id, actor_name, started_at, finished_at"""
_ROWS_AT_ONCE = 500


class Found(NamedTuple):
    """A row of a place: its key, whose it is, and its texts."""

    key: dict[str, Any]
    ticket_id: str | None
    person: tuple[str | None, str | None]
    comment_id: str | None
    texts: dict[str, Any]


# ---- erasures


async def start(
    tx: Tx,
    actor: Actor,
    run_id: str,
    sought: dict[str, Any],
    *,
    contact_id: str | None = None,
    closed_before: datetime | None = None,
) -> bool:
    """Records that an erasure begins; False if one for the same is recorded already."""
    kind, stage = ("retention", "tickets") if contact_id is None else ("contact", "settling")
    query = """INSERT INTO erasures (workspace_id, id, kind, contact_id, closed_before, stage, sought, actor_type,
                   actor_id, actor_name, started_at)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
    who = (actor.type, actor.id, actor.name)
    params = (actor.workspace_id, run_id, kind, contact_id, closed_before, stage, Jsonb(sought), *who, tx.now)
    return await tx.execute(query, params) == 1


async def take(tx: Tx, workspace_id: str, run_id: str) -> Run | None:
    """An erasure, held until the unit ends; None if another process is at it."""
    query = f"SELECT {_RUN} FROM erasures WHERE workspace_id = %s AND id = %s FOR UPDATE SKIP LOCKED"
    return await tx.one_of(Run, query, (workspace_id, run_id))


async def of_contact(tx: Tx, workspace_id: str, contact_id: str) -> Run | None:
    """The erasure of a contact."""
    return await tx.one_of(
        Run, f"SELECT {_RUN} FROM erasures WHERE workspace_id = %s AND contact_id = %s", (workspace_id, contact_id)
    )


async def running(tx: Tx) -> list[tuple[str, str]]:
    """Workspace and id of the erasures that have not ended, in all workspaces."""
    query = "SELECT workspace_id, id FROM erasures WHERE finished_at IS NULL ORDER BY started_at"
    return [(workspace_id, run_id) for workspace_id, run_id in await tx.all(query)]


async def save(tx: Tx, run: Run) -> None:
    """Stores how far an erasure is. At its end what it looked for goes."""
    await tx.execute(
        """UPDATE erasures SET stage = %s, place = %s, settled = %s::text::xid8, sought = %s, counts = %s,
               finished_at = %s
           WHERE workspace_id = %s AND id = %s""",
        (
            run.stage, run.place, run.settled, None if run.sought is None else Jsonb(run.sought), Jsonb(run.counts),
            run.finished_at, run.workspace_id, run.id,
        ),
    )  # fmt: skip


async def halve(tx: Tx, workspace_id: str, run_id: str) -> None:
    """From now on the erasure takes smaller steps."""
    query = "UPDATE erasures SET halvings = least(halvings + 1, 10) WHERE workspace_id = %s AND id = %s"
    await tx.execute(query, (workspace_id, run_id))


async def own_transaction(tx: Tx) -> str:
    """The number of this unit's transaction: whatever was being written until now has a lower one."""
    row = await tx.one("SELECT pg_current_xact_id()::text")
    assert row is not None
    return str(row[0])


async def is_settled(tx: Tx, transaction: str) -> bool:
    """Whether every transaction up to this one has ended."""
    row = await tx.one("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::text::xid8", (transaction,))
    assert row is not None
    return bool(row[0])


async def overdue(tx: Tx) -> list[tuple[str, datetime]]:
    """Workspaces that hold closed tickets for longer than they want to, and the instant since which they do."""
    rows = await tx.all(
        """SELECT w.id, %(now)s - make_interval(months => w.retention_months) FROM workspaces w
           WHERE w.retention_months IS NOT NULL AND EXISTS (
               SELECT FROM tickets t WHERE t.workspace_id = w.id AND t.closed_at IS NOT NULL
               AND t.wordless_version IS DISTINCT FROM t.version
               AND t.closed_at < %(now)s - make_interval(months => w.retention_months))""",
        {"now": tx.now},
    )
    return [(workspace_id, before) for workspace_id, before in rows]


# ---- the contact


async def names_used(tx: Tx, workspace_id: str, contact_id: str) -> list[str]:
    """The names under which a contact has written."""
    rows = await tx.all(
        """SELECT DISTINCT c.author_name FROM tickets t
           JOIN comments c ON c.workspace_id = t.workspace_id AND c.ticket_id = t.id
           WHERE t.workspace_id = %s AND t.contact_id = %s AND c.author_type = 'contact' AND c.author_id = t.contact_id
           LIMIT 20""",
        (workspace_id, contact_id),
    )
    return [name for (name,) in rows]


async def addresses_used(tx: Tx, workspace_id: str, contact_id: str) -> tuple[list[str], list[str]]:
    """The mail addresses and the names under which a contact wrote mail, and the addresses to which it got mail."""
    asked = {"workspace_id": workspace_id, "contact_id": contact_id}
    emails = await tx.all(
        """SELECT from_address FROM inbound_mails
           WHERE workspace_id = %(workspace_id)s AND contact_id = %(contact_id)s AND from_address LIKE '_%%@_%%'
           UNION SELECT address FROM mail_messages
           WHERE workspace_id = %(workspace_id)s AND recipient_type = 'contact' AND recipient_id = %(contact_id)s
               AND address IS NOT NULL LIMIT 50""",
        asked,
    )
    names = await tx.all(
        """SELECT DISTINCT from_name FROM inbound_mails
           WHERE workspace_id = %(workspace_id)s AND contact_id = %(contact_id)s AND from_name IS NOT NULL LIMIT 20""",
        asked,
    )
    return [email for (email,) in emails], [name for (name,) in names]


async def others_emails(tx: Tx, workspace_id: str, emails: Sequence[str]) -> list[str]:
    """Those of these mail addresses, in small letters, that the team or a contact has."""
    rows = await tx.all(
        """SELECT lower(email) FROM users WHERE workspace_id = %(workspace_id)s AND lower(email) = ANY(%(emails)s)
           UNION
           SELECT lower(email) FROM contacts WHERE workspace_id = %(workspace_id)s AND lower(email) = ANY(%(emails)s)
           UNION
           SELECT a FROM mail_settings s, unnest(ARRAY[lower(s.sender_address), lower(s.reply_to),
               lower(s.inbound_address)]) AS a WHERE s.workspace_id = %(workspace_id)s AND a = ANY(%(emails)s)""",
        {"workspace_id": workspace_id, "emails": [email.lower() for email in emails]},
    )
    return [email for (email,) in rows]


async def others_phones(tx: Tx, workspace_id: str, contact_id: str, phones: Sequence[str]) -> list[str]:
    """Those of these numbers that another contact has."""
    query = "SELECT DISTINCT phone FROM contacts WHERE workspace_id = %s AND id <> %s AND phone = ANY(%s)"
    return [phone for (phone,) in await tx.all(query, (workspace_id, contact_id, list(phones)))]


# ---- tickets


async def next_own(tx: Tx, run: Run, limit: int) -> list[str]:
    """The next of the person's tickets, or of those that are too old, held until the unit ends."""
    if run.contact_id is None:
        query = """SELECT id FROM tickets WHERE workspace_id = %(workspace_id)s AND closed_at < %(before)s
                   AND wordless_version IS DISTINCT FROM version ORDER BY closed_at LIMIT %(limit)s FOR UPDATE"""
    else:
        query = """SELECT id FROM tickets WHERE workspace_id = %(workspace_id)s AND contact_id = %(contact_id)s
                   AND id > %(after)s ORDER BY id LIMIT %(limit)s FOR UPDATE"""
    asked = {"contact_id": run.contact_id, "before": run.closed_before, "after": run.place, "limit": limit}
    return [ticket_id for (ticket_id,) in await tx.all(query, {"workspace_id": run.workspace_id, **asked})]


async def last_of_next(tx: Tx, workspace_id: str, after: str, limit: int) -> str | None:
    """The last of the next tickets by id; None if there are no more."""
    query = """SELECT max(id) FROM (
                   SELECT id FROM tickets WHERE workspace_id = %s AND id > %s ORDER BY id LIMIT %s) AS t"""
    row = await tx.one(query, (workspace_id, after, limit))
    return row[0] if row else None


async def hold(tx: Tx, workspace_id: str, ticket_ids: Sequence[str]) -> None:
    """Lets nobody change these tickets until the unit ends."""
    query = "SELECT 1 FROM tickets WHERE workspace_id = %s AND id = ANY(%s) ORDER BY id FOR UPDATE"
    await tx.all(query, (workspace_id, list(ticket_ids)))


async def once_own(tx: Tx, run: Run, ticket_ids: Sequence[str], emails: Sequence[str]) -> tuple[set[str], set[str]]:
    """Those of these tickets that are made of the person's words, whoever has them now: those that were theirs when
    they were created, and those made of a mail of theirs that named nobody.
    """
    asked = {"workspace_id": run.workspace_id, "ids": list(ticket_ids), "contact_id": run.contact_id}
    created = await tx.all(
        """SELECT DISTINCT ticket_id FROM events WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
           AND type = 'ticket.created' AND data #>> '{ticket,contact_id}' = %(contact_id)s""",
        asked,
    )
    mailed = await tx.all(
        """SELECT DISTINCT ticket_id FROM inbound_mails WHERE workspace_id = %(workspace_id)s
           AND ticket_id = ANY(%(ids)s) AND outcome = 'ticket' AND contact_id IS NULL
           AND lower(from_address) = ANY(%(emails)s)""",
        {**asked, "emails": [email.lower() for email in emails]},
    )
    return {ticket_id for (ticket_id,) in created}, {ticket_id for (ticket_id,) in mailed}


async def said_on(tx: Tx, run: Run, ticket_ids: Sequence[str], emails: Sequence[str]) -> tuple[set[str], set[str]]:
    """Comments on these tickets that hold the person's words: their own, and those made of a mail that named nobody."""
    asked = {"workspace_id": run.workspace_id, "ids": list(ticket_ids), "contact_id": run.contact_id}
    own = await tx.all(
        """SELECT id FROM comments WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
           AND author_type = 'contact' AND author_id = %(contact_id)s""",
        asked,
    )
    mailed = await tx.all(
        """SELECT comment_id FROM inbound_mails WHERE workspace_id = %(workspace_id)s AND ticket_id = ANY(%(ids)s)
           AND comment_id IS NOT NULL AND contact_id IS NULL AND lower(from_address) = ANY(%(emails)s)""",
        {**asked, "emails": [email.lower() for email in emails]},
    )
    return {comment_id for (comment_id,) in own}, {comment_id for (comment_id,) in mailed}


async def spoken_on(tx: Tx, run: Run, ticket_ids: Sequence[str]) -> set[str]:
    """Those of these tickets on which the person has spoken."""
    rows = await tx.all(
        """SELECT DISTINCT ticket_id FROM comments
           WHERE workspace_id = %s AND ticket_id = ANY(%s) AND author_type = 'contact' AND author_id = %s""",
        (run.workspace_id, list(ticket_ids), run.contact_id),
    )
    return {ticket_id for (ticket_id,) in rows}


async def not_own(tx: Tx, run: Run, ticket_ids: Sequence[str]) -> list[str]:
    """Those of these tickets that are not the person's, in order."""
    rows = await tx.all(
        """SELECT id FROM tickets WHERE workspace_id = %s AND id = ANY(%s) AND contact_id IS DISTINCT FROM %s
           ORDER BY id""",
        (run.workspace_id, list(ticket_ids), run.contact_id),
    )
    return [ticket_id for (ticket_id,) in rows]


async def own_or_erased(tx: Tx, run: Run, ticket_ids: Sequence[str]) -> bool:
    """Whether one of these tickets is the person's, or was erased by this erasure."""
    row = await tx.one(
        """SELECT EXISTS (SELECT FROM tickets WHERE workspace_id = %s AND id = ANY(%s)
               AND (contact_id = %s OR erased_at >= %s))""",
        (run.workspace_id, list(ticket_ids), run.contact_id, run.started_at),
    )
    return bool(row and row[0])


async def mark(tx: Tx, run: Run, ticket_ids: Sequence[str], *, own: bool) -> None:
    """Gives tickets a new version: whoever has read them before must look again. Their times stay."""
    await tx.execute(
        """UPDATE tickets SET version = version + 1, last_transaction = greatest(last_transaction, feed_now()),
               erased_at = CASE WHEN %s THEN %s ELSE erased_at END,
               wordless_version = CASE WHEN %s THEN version + 1 ELSE wordless_version END
           WHERE workspace_id = %s AND id = ANY(%s)""",
        (own, tx.now, run.contact_id is None, run.workspace_id, list(ticket_ids)),
    )


async def tickets(tx: Tx, workspace_id: str, ticket_ids: Sequence[str]) -> list[Ticket]:
    """These tickets as they stand."""
    query = f"SELECT {TICKET_COLUMNS} FROM {TICKET_SOURCE} WHERE t.workspace_id = %s AND t.id = ANY(%s) ORDER BY t.id"
    return await tx.all_of(Ticket, query, (workspace_id, list(ticket_ids)))


async def tell(tx: Tx, actor: Actor, events: Sequence[tuple[str, str, str]]) -> None:
    """Records that tickets were erased: per ticket the event's id, the ticket's, and the data."""
    given = [{"id": id_, "ticket_id": ticket_id, "data": json.loads(data)} for id_, ticket_id, data in events]
    await tx.execute(
        """INSERT INTO events (workspace_id, id, type, ticket_id, transaction_id, actor_type, actor_id, actor_name,
               created_at, data)
           SELECT t.workspace_id, n.id, 'ticket.erased', t.id, t.last_transaction, %s, %s, %s,
               greatest(%s, t.updated_at), n.data
           FROM jsonb_to_recordset(%s) AS n (id text, ticket_id text, data jsonb)
           JOIN tickets t ON t.workspace_id = %s AND t.id = n.ticket_id""",
        (actor.type, actor.id, actor.name, tx.now, Jsonb(given), actor.workspace_id),
    )


# ---- rows of any place


def _text_of(place: Place) -> str:
    columns = [f"x.{name}::text" for name in place.columns]
    if place.person is not None:
        columns.append(place.person[1])
    return f"lower(concat_ws(' ', {', '.join(columns)}))"


def _patterns(rough: Sequence[str], contact_id: str | None) -> list[str | None]:
    return [like(part.lower()) for part in (*rough, *([contact_id] if contact_id else []))]


async def mentioning(tx: Tx, run: Run, place: Place, rough: Sequence[str], last: str) -> set[str]:
    """The tickets after the run's place, up to `last`, with a row here that may mention the person."""
    rows = await tx.all(
        f"""SELECT DISTINCT {place.ticket} FROM {place.table} x {place.joined}
            WHERE x.workspace_id = %s AND {place.ticket} > %s AND {place.ticket} <= %s
            AND {_text_of(place)} LIKE ANY(%s)""",
        (run.workspace_id, run.place, last, _patterns(rough, run.contact_id)),
    )
    return {ticket_id for (ticket_id,) in rows}


async def rows(tx: Tx, workspace_id: str, place: Place, ticket_ids: Sequence[str], after: Found | None) -> list[Found]:
    """The next rows of these tickets."""
    return await _page(tx, workspace_id, place, f"{place.ticket} = ANY(%(tickets)s)", after, tickets=list(ticket_ids))


async def loose_rows(tx: Tx, run: Run, place: Place, rough: Sequence[str], after: Found | None) -> list[Found]:
    """The next rows that belong to no ticket and may mention the person."""
    if place.loose_where is not None:
        place = replace(place, ticket="NULL", joined=place.loose_joined or "")
    where = place.loose_where or f"{place.ticket} IS NULL"
    where += f" AND {_text_of(place)} LIKE ANY(%(patterns)s)"
    return await _page(tx, run.workspace_id, place, where, after, patterns=_patterns(rough, run.contact_id))


async def _page(tx: Tx, workspace_id: str, place: Place, where: str, after: Found | None, **params: Any) -> list[Found]:
    keys = ", ".join(f"x.{name}" for name in place.key)
    if after is not None:
        where += f" AND ({keys}) > ({', '.join(f'%({name})s::{kind}' for name, kind in place.key.items())})"
        params |= after.key
    kind, id_ = place.person or ("NULL", "NULL")
    texts = ", ".join(f"x.{name}" for name in place.columns)
    found = await tx.all(
        f"""SELECT {place.ticket}, {kind}, {id_}, {place.comment}, {keys}, {texts} FROM {place.table} x {place.joined}
            WHERE x.workspace_id = %(workspace_id)s AND {where} ORDER BY {keys} LIMIT {_ROWS_AT_ONCE}
            {"FOR NO KEY UPDATE OF x" if place.held else ""}""",
        {"workspace_id": workspace_id, **params},
    )
    split = 4 + len(place.key)
    return [
        Found(
            dict(zip(place.key, row[4:split], strict=True)),
            row[0],
            (row[1], row[2]),
            row[3],
            dict(zip(place.columns, row[split:], strict=True)),
        )
        for row in found
    ]


async def write(tx: Tx, run: Run, place: Place, changed: Sequence[Found]) -> None:
    """Stores what is left of rows. An event takes the one way that there is for it."""
    if not changed:
        return
    given = Jsonb([{**row.key, **row.texts} for row in changed])
    types = {**place.key, **{name: SQL_TYPES.get(rule, "text") for name, rule in place.columns.items()}}
    record = f"jsonb_to_recordset(%(rows)s) AS n ({', '.join(f'{name} {kind}' for name, kind in types.items())})"
    params = {"rows": given, "workspace_id": run.workspace_id, "run": run.id, "now": tx.now}
    if place.table == "events":
        await tx.execute(
            f"""INSERT INTO event_erasures (workspace_id, event_id, erasure_id, erased_at, actor_name, data)
                SELECT %(workspace_id)s, n.id, %(run)s, %(now)s, n.actor_name, n.data FROM {record}
                ON CONFLICT DO NOTHING""",
            params,
        )
        return
    sets = ", ".join(f"{name} = n.{name}" for name in place.columns)
    same = " AND ".join(f"x.{name} = n.{name}" for name in place.key)
    await tx.execute(
        f"UPDATE {place.table} x SET {sets} FROM {record} WHERE x.workspace_id = %(workspace_id)s AND {same}", params
    )
