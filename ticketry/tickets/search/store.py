"""The list of tickets in SQL: conditions, order, place, and exact totals that do not count the table."""

from datetime import datetime
from typing import Any

from ticketry.db.pool import Tx
from ticketry.tickets.models import Ticket
from ticketry.tickets.search.models import NOBODY, Cursor, TicketsAsked
from ticketry.tickets.search.rules import MOST_BYTES, MOST_WORDS, Search
from ticketry.tickets.store import TICKET_COLUMNS, TICKET_SOURCE

_ITEM_COLUMNS = TICKET_COLUMNS.replace("t.description,", "'' AS description,")
COUNTED = ("status", "priority", "category", "assigned_to")
"""What tickets are counted by: a list narrowed by these alone has its total without looking at a ticket."""

_BREACHED = """(t.response_met IS FALSE OR t.resolution_met IS FALSE
    OR (t.response_met IS NULL AND t.response_due_at < %(now)s)
    OR (t.resolution_met IS NULL AND t.resolution_due_at < %(now)s))"""


class Conditions:
    """WHERE conditions and their parameters."""

    def __init__(self, workspace_id: str, now: datetime) -> None:
        self.parts = ["t.workspace_id = %(workspace_id)s"]
        self.params: dict[str, Any] = {"workspace_id": workspace_id, "now": now}

    def add(self, condition: str, **params: Any) -> None:
        """One more condition."""
        self.parts.append(condition)
        self.params |= params

    @property
    def text(self) -> str:
        """All of them."""
        return " AND ".join(self.parts)


def _facets(asked: TicketsAsked, where: Conditions, prefix: str, nothing: str) -> None:
    """The conditions on what tickets are counted by; `nothing` says how an empty one is written."""
    for name in COUNTED:
        values = getattr(asked, name)
        if values is None:
            continue
        known = [value for value in values if not (name == "assigned_to" and value == NOBODY)]
        chosen = [int(value) for value in known] if name == "priority" else known
        test = f"{prefix}.{name} = %({name})s" if len(known) == 1 else f"{prefix}.{name} = ANY(%({name})s)"
        if len(known) < len(values):
            test = f"({test} OR {prefix}.{name} {nothing})" if known else f"{prefix}.{name} {nothing}"
        where.add(test, **{name: chosen[0] if len(known) == 1 else chosen})


def conditions(asked: TicketsAsked, workspace_id: str, now: datetime, query: str | None) -> Conditions:
    """The list's filters on the table of tickets `t`; `query` is the search as a tsquery."""
    where = Conditions(workspace_id, now)
    _facets(asked, where, "t", "IS NULL")
    if asked.contact_id is not None:
        where.add("t.contact_id = %(contact_id)s", contact_id=asked.contact_id)
    for column, name, sign in (
        ("created_at", "created_after", ">="),
        ("created_at", "created_before", "<="),
        ("due_date", "due_after", ">="),
        ("due_date", "due_before", "<="),
    ):
        if (value := getattr(asked, name)) is not None:
            where.add(f"t.{column} {sign} %({name})s", **{name: value})
    if asked.sla_breach is not None:
        where.add(f"{_BREACHED} IS {'TRUE' if asked.sla_breach == 'true' else 'NOT TRUE'}")
    if beside := _beside(asked, query):
        where.add(
            f"""EXISTS (SELECT 1 FROM ticket_words w WHERE w.workspace_id = %(workspace_id)s AND w.ticket_id = t.id
                        AND {" AND ".join(beside)})""",
            query=query,
            tags=asked.tags,
        )
    return where


def _beside(asked: TicketsAsked, query: str | None) -> list[str]:
    """The filters on the words and tags that stand beside a ticket."""
    words = ["w.words @@ %(query)s::tsquery"] if query is not None else []
    return words + (["w.tags @> %(tags)s::text[]"] if asked.tags else [])


def _order(asked: TicketsAsked) -> str:
    direction = asked.sort_order.upper()
    empty_last = " NULLS LAST" if asked.sort_by == "due_date" else ""
    return f"t.{asked.sort_by} {direction}{empty_last}, t.id {direction}"


def _place(where: Conditions, cursor: Cursor) -> None:
    """Only what comes after the cursor. Empty due dates come last in either direction."""
    sign, column = ("<" if cursor.sort_order == "desc" else ">"), f"t.{cursor.sort_by}"
    place = cursor.place
    if place is None:
        where.add(f"{column} IS NULL AND t.id {sign} %(after_id)s", after_id=cursor.id)
        return
    test = f"({column}, t.id) {sign} (%(after)s, %(after_id)s)"
    where.add(
        f"({test} OR {column} IS NULL)" if cursor.sort_by == "due_date" else test, after=place, after_id=cursor.id
    )


async def page(tx: Tx, asked: TicketsAsked, where: Conditions) -> list[Ticket]:
    """The tickets of the page asked for, and one more if there is one."""
    narrowed = Conditions(where.params["workspace_id"], where.params["now"])
    narrowed.parts, narrowed.params = list(where.parts), dict(where.params)
    if asked.after is not None:
        _place(narrowed, asked.after)
    query = f"""SELECT {_ITEM_COLUMNS} FROM {TICKET_SOURCE} WHERE {narrowed.text} ORDER BY {_order(asked)}
                LIMIT %(limit)s OFFSET %(offset)s"""
    return await tx.all_of(Ticket, query, {**narrowed.params, "limit": asked.per_page + 1, "offset": asked.offset})


async def total(tx: Tx, asked: TicketsAsked, where: Conditions, query: str | None) -> int:
    """How many tickets match, exactly: from the counters where they suffice, else from the narrowest index."""
    given = asked.model_fields_set - {"page", "per_page", "sort_by", "sort_order", "cursor"}
    narrowing = {name for name in given if getattr(asked, name) is not None}
    if narrowing <= set(COUNTED):
        return await _counted(tx, asked, where)
    if narrowing <= {"search", "tags"}:
        beside = Conditions(where.params["workspace_id"], where.params["now"])
        beside.parts = ["w.workspace_id = %(workspace_id)s", *_beside(asked, query)]
        return await _number(tx, f"SELECT count(*) FROM ticket_words w WHERE {beside.text}", where.params)
    return await _number(tx, f"SELECT count(*) FROM tickets t WHERE {where.text}", where.params)


async def _counted(tx: Tx, asked: TicketsAsked, where: Conditions) -> int:
    facets = Conditions(where.params["workspace_id"], where.params["now"])
    _facets(asked, facets, "t", "= ''")
    query = f"""SELECT coalesce((SELECT sum(tickets) FROM ticket_counts t WHERE {facets.text}), 0)
                     + coalesce((SELECT sum(tickets) FROM ticket_count_changes t WHERE {facets.text}), 0)"""
    return await _number(tx, query, facets.params)


async def _number(tx: Tx, query: str, params: dict[str, Any]) -> int:
    row = await tx.one(query, params)
    return int(row[0]) if row else 0


async def fold_counts(tx: Tx) -> int:
    """Folds the differences into the counts; how many. One process at a time, which others do not wait for."""
    row = await tx.one("SELECT pg_try_advisory_xact_lock(hashtext('ticketry.fold_counts'))")
    if row is None or not row[0]:
        return 0
    return await _number(
        tx,
        """WITH taken AS (DELETE FROM ticket_count_changes RETURNING *),
           summed AS (
               SELECT workspace_id, status, priority, category, assigned_to, sum(tickets) AS tickets
               FROM taken GROUP BY 1, 2, 3, 4, 5 HAVING sum(tickets) <> 0),
           folded AS (
               INSERT INTO ticket_counts AS c SELECT * FROM summed
               ON CONFLICT (workspace_id, status, priority, category, assigned_to)
               DO UPDATE SET tickets = c.tickets + excluded.tickets)
           SELECT count(*) FROM taken""",
        {},
    )


async def tsquery(tx: Tx, workspace_id: str, asked: Search) -> str | None:
    """The search as a tsquery: every phrase, every number, every term as a word, its beginning or a part of one.

    None if a term is a part of too many words. Words that begin with it are not counted, one look-up finds them all.
    """
    row = await tx.one(
        """WITH term AS (
               SELECT to_tsquery('simple', quote_lexeme(term) || ':*') AS query, term, start, pattern
               FROM unnest(%(terms)s::text[], %(starts)s::text[], %(patterns)s::text[]) AS t (term, start, pattern)),
           part (query, words, bytes) AS (
               SELECT phraseto_tsquery('simple', phrase), 0, 0 FROM unnest(%(phrases)s::text[]) AS p (phrase)
               UNION ALL
               SELECT quote_lexeme('tick-' || number)::tsquery, 0, 0 FROM unnest(%(numbers)s::text[]) AS n (number)
               UNION ALL
               SELECT CASE WHEN numnode(t.query) = 0 THEN t.query
                      ELSE t.query || (quote_lexeme(t.start) || ':*')::tsquery END
                      -- "A-77" holds the number -77
                      || CASE WHEN t.term ~ '^[0-9]' THEN to_tsquery('simple', quote_lexeme('-' || t.term) || ':*')
                         ELSE ''::tsquery END
                      || CASE WHEN holding.words <= %(most_words)s AND holding.bytes <= %(most_bytes)s
                         THEN holding.query::tsquery ELSE ''::tsquery END,
                      holding.words, holding.bytes
               FROM term t CROSS JOIN LATERAL (
                   SELECT coalesce(string_agg(quote_lexeme(word), '|'), '') AS query, count(*) AS words,
                          coalesce(sum(octet_length(word)), 0) AS bytes
                   FROM (SELECT v.word FROM vocabulary v WHERE v.workspace_id = %(workspace_id)s
                         AND v.word LIKE t.pattern AND NOT starts_with(v.word, t.start)
                         LIMIT %(most_words)s + 1) AS v) AS holding)
           SELECT string_agg('(' || query::text || ')', ' & ') FILTER (WHERE numnode(query) > 0),
                  coalesce(max(words) > %(most_words)s OR sum(bytes) > %(most_bytes)s, false)
           FROM part""",
        {"workspace_id": workspace_id, "most_words": MOST_WORDS, "most_bytes": MOST_BYTES, **asked._asdict()},
    )
    assert row is not None
    return None if row[1] else str(row[0] or "")
