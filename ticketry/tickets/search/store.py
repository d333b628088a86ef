"""The list of tickets in SQL: conditions, order, place, and exact totals that do not count the table."""

from datetime import datetime
from typing import Any

from ticketry.db.pool import Tx
from ticketry.tickets.search.models import NOBODY, Cursor, Found, TicketFilters, TicketsAsked
from ticketry.tickets.search.rules import MOST_BYTES, MOST_WORDS, Search
from ticketry.tickets.written.store import ITEM_JSON

COUNTED = ("status", "priority", "category", "assigned_to")
"""What tickets are counted by: a list narrowed by these alone has its total without looking at a ticket."""
FOLDED_AT_ONCE = 50_000
"""So that a backlog, however long, is worked off in pieces that no time limit cuts short."""
_NARROWING = TicketFilters.model_fields.keys() - {"sort_by", "sort_order"}

_MISSED = "(t.response_met IS FALSE OR t.resolution_met IS FALSE)"
_OVERDUE = """(t.response_met IS NOT FALSE AND t.resolution_met IS NOT FALSE
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

    def add(self, sign: str, query: str, params: dict[str, Any]) -> None:
        """One more summand."""
        self.text += f" {sign} coalesce(({query}), 0)"
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
        where.add(f"NOT {_MISSED} AND NOT coalesce({_OVERDUE}, false)")
    return where


def _beside(asked: TicketFilters, query: str | None) -> list[str]:
    """The filters on the words and tags that stand beside a ticket."""
    words = ["w.words @@ %(query)s::tsquery"] if query is not None else []
    return words + (["w.tags @> %(tags)s::text[]"] if asked.tags else [])


def _order(asked: TicketFilters) -> str:
    direction = asked.sort_order.upper()
    empty_last = " NULLS LAST" if asked.sort_by == "due_date" else ""
    return f"t.{asked.sort_by} {direction}{empty_last}, t.id {direction}"


def _places(cursor: Cursor | None) -> list[str]:
    """What comes after the cursor, as sets that do not meet. Empty due dates come last in either direction."""
    if cursor is None:
        return ["true"]
    sign, column = ("<" if cursor.sort_order == "desc" else ">"), f"t.{cursor.sort_by}"
    if cursor.place is None:
        return [f"{column} IS NULL AND t.id {sign} %(after_id)s"]
    later = f"({column}, t.id) {sign} (%(after)s, %(after_id)s)"
    return [later, f"{column} IS NULL"] if cursor.sort_by == "due_date" else [later]


def _place_params(cursor: Cursor | None) -> dict[str, Any]:
    return {} if cursor is None else {"after": cursor.place, "after_id": cursor.id}


def _limit(asked: TicketsAsked, offset: int) -> str:
    """One more than the page holds tells whether there is a next one. Written out: PostgreSQL then keeps the plan."""
    return f"LIMIT {asked.per_page + 1}" + (f" OFFSET {offset}" if offset else "")


async def found(tx: Tx, asked: TicketsAsked, where: Conditions) -> Found:
    """The items of the page asked for, one more if there is one, and how many match: in one look, so of one moment."""
    everything = _total(asked, where)
    items = f"SELECT {ITEM_JSON} FROM ({_page(asked, where)}) t ORDER BY {_order(asked)}"
    params = {**where.params, **everything.params, **_place_params(asked.after)}
    return _found(await tx.one(f"SELECT 0 {everything.text}, ARRAY({items})", params))


def _found(row: tuple[Any, ...] | None) -> Found:
    assert row is not None
    return Found(int(row[0]), row[1])


def _page(asked: TicketsAsked, where: Conditions) -> str:
    order = _order(asked)
    breached = [_MISSED, _OVERDUE] if asked.sla_breach == "true" else ["true"]
    sets = [
        f"SELECT t.* FROM tickets t WHERE {where.text} AND {one} AND {place}"
        for one in breached
        for place in _places(asked.after)
    ]
    if len(sets) == 1:
        return f"{sets[0]} ORDER BY {order} {_limit(asked, asked.offset)}"
    # Sets that do not meet, each by an index of its own: together they would be found by none.
    each = [f"({one} ORDER BY {order} LIMIT {asked.offset + asked.per_page + 1})" for one in sets]
    return f"SELECT * FROM ({' UNION ALL '.join(each)}) t ORDER BY {order} {_limit(asked, asked.offset)}"


async def beside(tx: Tx, asked: TicketsAsked, where: Conditions, query: str | None) -> Found:
    """The page of a list that is narrowed by words or tags, and its total, in one look at those.

    The words are found first, whatever else is asked: how many tickets hold a word is no guess of the planner's.
    """
    tests = " AND ".join(_beside(asked, query))
    ctes = f"""found AS MATERIALIZED (SELECT w.ticket_id AS id, w.created_at FROM ticket_words w
        WHERE w.workspace_id = %(workspace_id)s AND {tests})"""
    kept = "found" if _only(asked, {"search", "tags"}) and asked.sort_by == "created_at" else "kept"
    if kept == "kept":
        more = f"{_MISSED} IS TRUE OR {_OVERDUE}" if asked.sla_breach == "true" else "true"
        ctes += f""", kept AS MATERIALIZED (SELECT t.id, t.{asked.sort_by} FROM found f
            JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = f.id WHERE {where.text} AND ({more}))"""
    place = " OR ".join(_places(asked.after))
    params = {**where.params, **_place_params(asked.after), "query": query, "tags": asked.tags}
    chosen = f"SELECT t.id FROM {kept} t WHERE {place} ORDER BY {_order(asked)} {_limit(asked, asked.offset)}"
    items = f"""SELECT {ITEM_JSON} FROM tickets t WHERE t.workspace_id = %(workspace_id)s
        AND t.id = ANY(ARRAY({chosen})) ORDER BY {_order(asked)}"""
    return _found(await tx.one(f"WITH {ctes} SELECT (SELECT count(*) FROM {kept}), ARRAY({items})", params))


def everything(asked: TicketFilters, where: Conditions, query: str | None, shown: str) -> tuple[str, dict[str, Any]]:
    """The statement that shows all tickets of a list in its order, and its parameters. `shown` are its columns."""
    found, source, tests, params = _everything(asked, where, query)
    return f"{found}SELECT {shown} FROM {source} WHERE {tests} ORDER BY {_order(asked)}", params


async def count_found(tx: Tx, asked: TicketFilters, where: Conditions, query: str | None) -> int:
    """How many tickets a list narrowed by words or tags has."""
    found, source, tests, params = _everything(asked, where, query)
    return await _number(tx, f"{found}SELECT count(*) FROM {source} WHERE {tests}", params)


def _everything(asked: TicketFilters, where: Conditions, query: str | None) -> tuple[str, str, str, dict[str, Any]]:
    more = f" AND ({_MISSED} IS TRUE OR {_OVERDUE})" if asked.sla_breach == "true" else ""
    params = {**where.params, "query": query, "tags": asked.tags}
    tests = " AND ".join(_beside(asked, query))
    if not tests:
        return "", "tickets t", where.text + more, params
    found = f"""WITH found AS MATERIALIZED (SELECT w.ticket_id AS id FROM ticket_words w
        WHERE w.workspace_id = %(workspace_id)s AND {tests}) """
    source = "found f JOIN tickets t ON t.workspace_id = %(workspace_id)s AND t.id = f.id"
    return found, source, where.text + more, params


async def walk_an_index(tx: Tx) -> None:
    """From now on this unit finds tickets in the order asked for, rather than sort all of them before the first."""
    await tx.execute("SELECT set_config('enable_sort', 'off', true)")


def _only(asked: TicketFilters, names: set[str]) -> bool:
    """Whether the list is narrowed by nothing but these."""
    given = asked.model_fields_set & _NARROWING
    return {name for name in given if getattr(asked, name) is not None} <= names


async def total(tx: Tx, asked: TicketFilters, where: Conditions) -> int:
    """How many tickets a list has that is not narrowed by words or tags, exactly."""
    everything = _total(asked, where)
    return await _number(tx, f"SELECT 0 {everything.text}", {**where.params, **everything.params})


def _total(asked: TicketFilters, where: Conditions) -> _Sum:
    """How many tickets match, exactly: from the counters where they suffice, else from the narrowest index."""
    everything = _Sum()
    if not _only(asked, {*COUNTED, "sla_breach"}):
        more = f" AND ({_MISSED} IS TRUE OR {_OVERDUE})" if asked.sla_breach == "true" else ""
        everything.add("+", f"SELECT count(*) FROM tickets t WHERE {where.text}{more}", where.params)
        return everything
    if asked.sla_breach != "true":
        _add_counted(everything, asked, where)
    if asked.sla_breach is not None:
        sign = "+" if asked.sla_breach == "true" else "-"
        _add_counted(everything, asked, where, sign, missed=True)
        _add_overdue(everything, asked, where, sign)
    return everything


def _add_counted(sum_: _Sum, asked: TicketFilters, where: Conditions, sign: str = "+", *, missed: bool = False) -> None:
    """From the counters: those of one facet where no more is asked, else those of all of them together."""
    facets = Conditions(where.params["workspace_id"], where.params["now"])
    _facets(asked, facets, "t", "= ''")
    if missed:
        facets.add("t.missed")
    named = [name for name in COUNTED if getattr(asked, name) is not None]
    if len(named) + missed <= 1:
        facet, values = _rollup(asked, named[0]) if named else ("missed", ["true"]) if missed else ("all", [""])
        query = f"""SELECT sum(tickets) FROM ticket_rollups WHERE workspace_id = %(workspace_id)s
                    AND facet = %(facet_{missed})s AND value = ANY(%(values_{missed})s)"""
        sum_.add(sign, query, {f"facet_{missed}": facet, f"values_{missed}": values})
    else:
        sum_.add(sign, f"SELECT sum(tickets) FROM ticket_counts t WHERE {facets.text}", facets.params)
    sum_.add(sign, f"SELECT sum(tickets) FROM ticket_count_changes t WHERE {facets.text}", facets.params)


def _rollup(asked: TicketFilters, facet: str) -> tuple[str, list[str]]:
    values = getattr(asked, facet)
    return facet, ["" if facet == "assigned_to" and value == NOBODY else value for value in values]


def _add_overdue(sum_: _Sum, asked: TicketFilters, where: Conditions, sign: str) -> None:
    """Tickets overdue at this moment whom nobody has found so yet: few, for the next timer does."""
    facets = Conditions(where.params["workspace_id"], where.params["now"])
    _facets(asked, facets, "t", "IS NULL")
    undecided = "t.response_met IS NOT FALSE AND t.resolution_met IS NOT FALSE"
    each = [
        f"""SELECT t.id FROM tickets t WHERE {facets.text} AND {undecided}
            AND t.{name}_met IS NULL AND t.{name}_due_at < %(now)s"""
        for name in ("response", "resolution")
    ]
    sum_.add(sign, f"SELECT count(*) FROM ({' UNION '.join(each)}) t", facets.params)


async def _number(tx: Tx, query: str, params: dict[str, Any]) -> int:
    row = await tx.one(query, params)
    return int(row[0]) if row else 0


async def fold_counts(tx: Tx) -> int:
    """Folds differences into the counts; how many, `FOLDED_AT_ONCE` at the most.

    One process at a time, for which others do not wait.
    """
    row = await tx.one("SELECT pg_try_advisory_xact_lock(hashtext('ticketry.fold_counts'))")
    if row is None or not row[0]:
        return 0
    return await _number(
        tx,
        """WITH taken AS (
               DELETE FROM ticket_count_changes
               WHERE ctid = ANY(ARRAY(SELECT ctid FROM ticket_count_changes LIMIT %(most)s)) RETURNING *),
           folded AS (
               INSERT INTO ticket_counts AS c (workspace_id, status, priority, category, assigned_to, missed, tickets)
               SELECT workspace_id, status, priority, category, assigned_to, missed, sum(tickets)
               FROM taken GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(tickets) <> 0
               ON CONFLICT (workspace_id, status, priority, category, assigned_to, missed)
               DO UPDATE SET tickets = c.tickets + excluded.tickets),
           rolled AS (
               INSERT INTO ticket_rollups AS r (workspace_id, facet, value, tickets)
               SELECT workspace_id, f.facet, f.value, sum(tickets)
               FROM taken, LATERAL (VALUES ('all', ''), ('status', status), ('priority', priority::text),
                   ('category', category), ('assigned_to', assigned_to), ('missed', missed::text)) AS f (facet, value)
               GROUP BY 1, 2, 3 HAVING sum(tickets) <> 0
               ON CONFLICT (workspace_id, facet, value) DO UPDATE SET tickets = r.tickets + excluded.tickets)
           SELECT count(*) FROM taken""",
        {"most": FOLDED_AT_ONCE},
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
