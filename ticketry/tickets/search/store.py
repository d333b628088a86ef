"""The list of tickets in SQL: conditions, order, place, and exact totals that do not count the table."""

from datetime import UTC, date, datetime, time
from typing import Any

from ticketry.db.pool import Tx
from ticketry.tickets.search.models import NOBODY, Cursor, Found, TicketFilters, TicketsAsked
from ticketry.tickets.search.rules import MOST_BYTES, MOST_PLAIN, MOST_WORDS, Search, Sought, whole_days
from ticketry.tickets.written.store import ITEM_JSON

COUNTED = ("status", "priority", "category", "assigned_to")
"""What tickets are counted by: a list narrowed by these alone has its total without looking at a ticket."""
FOLDED_AT_ONCE = 50_000
"""So that a backlog, however long, is worked off in pieces that no time limit cuts short."""
PAGING = {"page", "per_page", "sort_by", "sort_order", "cursor"}

MISSED = "(t.response_met IS FALSE OR t.resolution_met IS FALSE)"
OVERDUE = """(t.response_met IS NOT FALSE AND t.resolution_met IS NOT FALSE
    AND (t.response_met IS NULL AND t.response_due_at < %(now)s
         OR t.resolution_met IS NULL AND t.resolution_due_at < %(now)s))"""
"""Missed at this moment, but not yet found so by anybody."""


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


class _Sum:
    """A sum of counts as one statement, so that all of it is of one moment."""

    def __init__(self) -> None:
        self.text = ""
        self.params: dict[str, Any] = {}

    def add(self, query: str, params: dict[str, Any]) -> None:
        """One more summand."""
        self.text += f" + coalesce(({query}), 0)"
        self.params |= params


def _facets(asked: TicketFilters, where: Conditions, prefix: str, nothing: str) -> None:
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


def conditions(asked: TicketFilters, workspace_id: str, now: datetime) -> Conditions:
    """The list's filters on the table of tickets `t`, without those on what stands beside it."""
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
    if asked.sla_breach == "false":
        where.add(f"NOT {MISSED} AND NOT coalesce({OVERDUE}, false)")
    return where


def beside(asked: TicketFilters) -> list[str]:
    """The filters on the words and tags that stand beside a ticket."""
    words = ["w.words @@ %(query)s::tsquery"] if asked.search is not None else []
    return words + (["w.tags @> %(tags)s::text[]"] if asked.tags else [])


def order(asked: TicketFilters) -> str:
    direction = asked.sort_order.upper()
    empty_last = " NULLS LAST" if asked.sort_by == "due_date" else ""
    return f"t.{asked.sort_by} {direction}{empty_last}, t.id {direction}"


def places(cursor: Cursor | None) -> list[str]:
    """What comes after the cursor, as sets that do not meet. Empty due dates come last in either direction."""
    if cursor is None:
        return ["true"]
    sign, column = ("<" if cursor.sort_order == "desc" else ">"), f"t.{cursor.sort_by}"
    if cursor.place is None:
        return [f"{column} IS NULL AND t.id {sign} %(after_id)s"]
    later = f"({column}, t.id) {sign} (%(after)s, %(after_id)s)"
    return [later, f"{column} IS NULL"] if cursor.sort_by == "due_date" else [later]


def place_params(cursor: Cursor | None) -> dict[str, Any]:
    return {} if cursor is None else {"after": cursor.place, "after_id": cursor.id}


def limit(asked: TicketsAsked, offset: int) -> str:
    """One more than the page holds tells whether there is a next one. Written out: PostgreSQL then keeps the plan."""
    return f"LIMIT {asked.per_page + 1}" + (f" OFFSET {offset}" if offset else "")


async def found(tx: Tx, asked: TicketsAsked, where: Conditions) -> Found:
    """The items of the page asked for, one more if there is one, and how many match: in one look, so of one moment."""
    everything = _total(asked, where)
    params = {**where.params, **everything.params, **place_params(asked.after)}
    return await counted(tx, "", f"0 {everything.text}", _page(asked, where), asked, params)


async def counted(tx: Tx, ctes: str, total: str, page: str, asked: TicketsAsked, params: dict[str, Any]) -> Found:
    """The total and the page in one look. Of a page past the end no ticket is looked at."""
    ctes = f"{ctes}, counted AS MATERIALIZED (SELECT {total} AS n)".lstrip(", ")
    within = f"WHERE (SELECT n FROM counted) > {asked.offset}" if asked.offset else ""
    items = f"SELECT {ITEM_JSON} FROM ({page}) t {within} ORDER BY {order(asked)}"
    return Found.of(await tx.one(f"WITH {ctes} SELECT (SELECT n FROM counted), ARRAY({items})", params))


def _page(asked: TicketsAsked, where: Conditions) -> str:
    by = order(asked)
    breached = [MISSED, OVERDUE] if asked.sla_breach == "true" else ["true"]
    sets = [
        f"SELECT t.* FROM tickets t WHERE {where.text} AND {one} AND {place}"
        for one in breached
        for place in places(asked.after)
    ]
    if len(sets) == 1:
        return f"{sets[0]} ORDER BY {by} {limit(asked, asked.offset)}"
    # Sets that do not meet, each by an index of its own: together they would be found by none.
    each = [f"({one} ORDER BY {by} LIMIT {asked.offset + asked.per_page + 1})" for one in sets]
    return f"SELECT * FROM ({' UNION ALL '.join(each)}) t ORDER BY {by} {limit(asked, asked.offset)}"


async def found_beside(tx: Tx, asked: TicketsAsked, where: Conditions, sought: Sought | None) -> Found:
    """The page of a list that is narrowed by words or tags, and its total, in one look at those.

    The words are found first, whatever else is asked: how many tickets hold a word is no guess of the planner's.
    """
    tests = " AND ".join(beside(asked))
    ctes = f"""found AS MATERIALIZED (SELECT w.ticket_id AS id, w.created_at FROM ticket_words w
        WHERE w.workspace_id = %(workspace_id)s AND {tests})"""
    kept = "found" if _only(asked, {"search", "tags"}) and asked.sort_by == "created_at" else "kept"
    if kept == "kept":
        more = f"{MISSED} IS TRUE OR {OVERDUE}" if asked.sla_breach == "true" else "true"
        ctes += f""", kept AS MATERIALIZED (SELECT t.id, t.{asked.sort_by} FROM found f
            JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = f.id WHERE {where.text} AND ({more}))"""
    place = " OR ".join(places(asked.after))
    params = {**where.params, **place_params(asked.after), "query": sought and sought.query, "tags": asked.tags}
    chosen = f"SELECT t.id FROM {kept} t WHERE {place} ORDER BY {order(asked)} {limit(asked, asked.offset)}"
    items = f"""SELECT {ITEM_JSON} FROM tickets t WHERE t.workspace_id = %(workspace_id)s
        AND t.id = ANY(ARRAY({chosen})) ORDER BY {order(asked)}"""
    return Found.of(await tx.one(f"WITH {ctes} SELECT (SELECT count(*) FROM {kept}), ARRAY({items})", params))


def everything(
    asked: TicketFilters, where: Conditions, sought: Sought | None, shown: str
) -> tuple[str, dict[str, Any]]:
    """The statement that shows all tickets of a list in its order, and its parameters. `shown` are its columns."""
    tests, found, source = " AND ".join(beside(asked)), "", "tickets t"
    if tests:
        found = f"""WITH found AS MATERIALIZED (SELECT w.ticket_id AS id FROM ticket_words w
            WHERE w.workspace_id = %(workspace_id)s AND {tests}) """
        source = "found f JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = f.id"
    more = f" AND ({MISSED} IS TRUE OR {OVERDUE})" if asked.sla_breach == "true" else ""
    query = f"{found}SELECT {shown} FROM {source} WHERE {where.text}{more} ORDER BY {order(asked)}"
    return query, {**where.params, "query": sought and sought.query, "tags": asked.tags}


async def walk_an_index(tx: Tx) -> None:
    """From now on this unit finds tickets in the order asked for, rather than sort all of them before the first."""
    await tx.execute("SELECT set_config('enable_sort', 'off', true)")


def _only(asked: TicketsAsked, names: set[str]) -> bool:
    """Whether the list is narrowed by nothing but these."""
    given = asked.model_fields_set - PAGING
    return {name for name in given if getattr(asked, name) is not None} <= names


def _total(asked: TicketsAsked, where: Conditions) -> _Sum:
    """How many tickets match, exactly: from the counters where they suffice, else from the narrowest index."""
    everything = _Sum()
    days = whole_days(asked.created_after, asked.created_before)
    if _only(asked, set(COUNTED)):
        _add_counted(everything, asked, where)
    elif days is not None and _only(asked, {"created_after", "created_before"}):
        _add_days(everything, asked, where, *days)
    else:
        more = f" AND ({MISSED} IS TRUE OR {OVERDUE})" if asked.sla_breach == "true" else ""
        everything.add(f"SELECT count(*) FROM tickets t WHERE {where.text}{more}", where.params)
    return everything


def _add_counted(sum_: _Sum, asked: TicketsAsked, where: Conditions) -> None:
    """From the counters: those of one facet where no more is asked, else those of all of them together."""
    facets = Conditions(where.params["workspace_id"], where.params["now"])
    _facets(asked, facets, "t", "= ''")
    named = [name for name in COUNTED if getattr(asked, name) is not None]
    if len(named) <= 1:
        facet, values = _rollup(asked, named[0]) if named else ("all", [""])
        query = """SELECT sum(tickets) FROM ticket_rollups WHERE workspace_id = %(workspace_id)s
                   AND facet = %(facet)s AND value = ANY(%(values)s)"""
        sum_.add(query, {"facet": facet, "values": values})
    else:
        sum_.add(f"SELECT sum(tickets) FROM ticket_counts t WHERE {facets.text}", facets.params)
    sum_.add(f"SELECT sum(tickets) FROM ticket_count_changes t WHERE {facets.text}", facets.params)


def _rollup(asked: TicketsAsked, facet: str) -> tuple[str, list[str]]:
    values = getattr(asked, facet)
    return facet, ["" if facet == "assigned_to" and value == NOBODY else value for value in values]


def _add_days(sum_: _Sum, asked: TicketsAsked, where: Conditions, first: date | None, last: date | None) -> None:
    """Whole days from the counters; what lies before the first and after the last of them by index."""
    begin = datetime.combine(first or date.min, time.min, UTC)
    end = datetime.combine(last or date.max, time.max, UTC)
    params = {**where.params, "first": str(begin.date()), "last": str(end.date()), "begin": begin, "end": end}
    counters = "SELECT sum(tickets) FROM {} WHERE workspace_id = %(workspace_id)s AND {} BETWEEN %(first)s AND %(last)s"
    sum_.add(counters.format("ticket_rollups", "facet = 'day' AND value"), params)
    sum_.add(counters.format("ticket_count_changes", "to_char(day, 'YYYY-MM-DD')"), params)
    if asked.created_after is not None:
        sum_.add(f"SELECT count(*) FROM tickets t WHERE {where.text} AND t.created_at < %(begin)s", params)
    if asked.created_before is not None:
        sum_.add(f"SELECT count(*) FROM tickets t WHERE {where.text} AND t.created_at > %(end)s", params)


async def _number(tx: Tx, query: str, params: dict[str, Any]) -> int:
    row = await tx.one(query, params)
    return int(row[0]) if row else 0


async def may_fold(tx: Tx, lock: str) -> bool:
    """Whether this unit is the one that folds. Nobody waits for it, so it may take longer than a request."""
    row = await tx.one(
        "SELECT pg_try_advisory_xact_lock(hashtext(%s)), set_config('statement_timeout', '120000', true)", (lock,)
    )
    return row is not None and bool(row[0])


async def fold_counts(tx: Tx) -> int:
    """Folds differences into the counts; how many, `FOLDED_AT_ONCE` at the most.

    One process at a time, for which others do not wait.
    """
    if not await may_fold(tx, "ticketry.fold_counts"):
        return 0
    return await _number(
        tx,
        """WITH taken AS (
               DELETE FROM ticket_count_changes
               WHERE ctid = ANY(ARRAY(SELECT ctid FROM ticket_count_changes LIMIT %(most)s)) RETURNING *),
           counted AS (
               SELECT workspace_id, status, priority, category, assigned_to, missed, sum(tickets)::bigint AS more
               FROM taken GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(tickets) <> 0),
           -- A count of no tickets is no row: those of every category and assignee that ever was would be summed up.
           emptied AS (
               DELETE FROM ticket_counts c USING counted n
               WHERE (c.workspace_id, c.status, c.priority, c.category, c.assigned_to, c.missed)
                   = (n.workspace_id, n.status, n.priority, n.category, n.assigned_to, n.missed)
                   AND c.tickets + n.more = 0),
           folded AS (
               INSERT INTO ticket_counts AS c (workspace_id, status, priority, category, assigned_to, missed, tickets)
               SELECT workspace_id, status, priority, category, assigned_to, missed, n.more
               FROM counted n LEFT JOIN ticket_counts c
                   USING (workspace_id, status, priority, category, assigned_to, missed)
               WHERE coalesce(c.tickets, 0) + n.more <> 0
               ON CONFLICT (workspace_id, status, priority, category, assigned_to, missed)
               DO UPDATE SET tickets = c.tickets + excluded.tickets),
           valued AS (
               SELECT workspace_id, f.facet, f.value, sum(tickets)::bigint AS more
               FROM taken, LATERAL (VALUES ('all', ''), ('status', status), ('priority', priority::text),
                   ('category', category), ('assigned_to', assigned_to), ('missed', missed::text),
                   ('day', to_char(day, 'YYYY-MM-DD'))) AS f (facet, value)
               WHERE f.value IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(tickets) <> 0),
           unrolled AS (
               DELETE FROM ticket_rollups r USING valued v
               WHERE (r.workspace_id, r.facet, r.value) = (v.workspace_id, v.facet, v.value)
                   AND r.tickets + v.more = 0),
           rolled AS (
               INSERT INTO ticket_rollups AS r (workspace_id, facet, value, tickets)
               SELECT workspace_id, facet, value, v.more
               FROM valued v LEFT JOIN ticket_rollups r USING (workspace_id, facet, value)
               WHERE coalesce(r.tickets, 0) + v.more <> 0
               ON CONFLICT (workspace_id, facet, value) DO UPDATE SET tickets = r.tickets + excluded.tickets)
           SELECT count(*) FROM taken""",
        {"most": FOLDED_AT_ONCE},
    )


async def read(tx: Tx, workspace_id: str, asked: Search) -> Sought | None:
    """The search as a tsquery: every phrase, every number, every term as a word, its beginning or a part of one.

    None if a term is a part of too many words. Words that begin with it are not counted, one look-up finds them all.
    Where every term is a plain word (or the beginning or a part of some), those words as well: terms with signs in them
    are several words in a row, and numbers are not in the vocabulary.
    """
    row = await tx.one(
        f"""WITH term AS (
               SELECT to_tsquery('simple', quote_lexeme(term) || ':*') AS query, term, start, pattern
               FROM unnest((SELECT %(terms)s::text[]), (SELECT %(starts)s::text[]), (SELECT %(patterns)s::text[]))
                   AS t (term, start, pattern)),
           part (query, words, bytes, plain) AS (
               SELECT phraseto_tsquery('simple', phrase), 0, 0, NULL::text[]
               FROM unnest((SELECT %(phrases)s::text[])) AS p (phrase)
               UNION ALL
               SELECT quote_lexeme('tick-' || number)::tsquery, 0, 0, NULL
               FROM unnest((SELECT %(numbers)s::text[])) AS n (number)
               UNION ALL
               SELECT CASE WHEN numnode(t.query) = 0 THEN t.query
                      ELSE t.query || (quote_lexeme(t.start) || ':*')::tsquery END
                      -- "A-77" holds the number -77
                      || CASE WHEN t.term ~ '^[0-9]' THEN to_tsquery('simple', quote_lexeme('-' || t.term) || ':*')
                         ELSE ''::tsquery END
                      || CASE WHEN holding.words <= {MOST_WORDS} AND holding.bytes <= {MOST_BYTES}
                         THEN holding.query::tsquery ELSE ''::tsquery END,
                      holding.words, holding.bytes,
                      CASE WHEN numnode(t.query) = 1
                           AND tsvector_to_array(to_tsvector('simple', t.term)) = ARRAY[t.start]
                           AND t.start !~ '^(t|ti|tic|tick)?-?[0-9]*$'
                           AND holding.words + coalesce(cardinality(beginning.so), 0) <= {MOST_PLAIN}
                      THEN holding.so || beginning.so END
               FROM term t CROSS JOIN LATERAL (
                   SELECT coalesce(string_agg(quote_lexeme(word), '|'), '') AS query, count(*) AS words,
                          coalesce(sum(octet_length(word)), 0) AS bytes, coalesce(array_agg(word), '{{}}') AS so
                   FROM (SELECT v.word FROM vocabulary v WHERE v.workspace_id = %(workspace_id)s
                         AND v.word LIKE t.pattern AND NOT starts_with(v.word, t.start)
                         LIMIT {MOST_WORDS} + 1) AS v) AS holding
               CROSS JOIN LATERAL (
                   SELECT ARRAY(SELECT v.word FROM vocabulary v WHERE v.workspace_id = %(workspace_id)s
                                AND v.word >= t.start AND v.word < t.start || chr(1114111)
                                LIMIT {MOST_PLAIN} + 1) AS so) AS beginning)
           SELECT string_agg('(' || query::text || ')', ' & ') FILTER (WHERE numnode(query) > 0),
                  coalesce(max(words) > {MOST_WORDS} OR sum(bytes) > {MOST_BYTES}, false),
                  CASE WHEN bool_and(plain IS NOT NULL) THEN jsonb_agg(to_jsonb(plain)) END
           FROM part""",
        {"workspace_id": workspace_id, **asked._asdict()},
    )
    assert row is not None
    return None if row[1] else Sought(str(row[0] or ""), row[2])
