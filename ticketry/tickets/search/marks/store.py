"""Lists by the marks of tickets (see migration 0014): several conditions at once cost a few kilobytes of bits.

A ticket that was changed since the marks were last folded, or that is overdue but not yet found so, is unsettled: it is
looked at itself. All others are what their marks say. Both are read by one statement, so it is exact at every moment.
"""

from ticketry.db.pool import Tx
from ticketry.tickets.search.models import NOBODY, Found, TicketsAsked
from ticketry.tickets.search.rules import Sought
from ticketry.tickets.search.store import (
    MISSED,
    OVERDUE,
    PAGING,
    Conditions,
    counted,
    limit,
    may_fold,
    order,
    place_params,
    places,
)

FOLDED_AT_ONCE = 1_000
"""So that a backlog, however long, is worked off in pieces that no time limit cuts short: of a ticket that may hold
thousands of words each is a mark."""
_MARKED = {"status": "s", "priority": "p", "category": "c", "assigned_to": "a"}
_KNOWN = {*_MARKED, "tags", "search", "sla_breach"}

_LATE = """
    UNION
    SELECT t.number FROM tickets t WHERE t.workspace_id = %(workspace_id)s AND t.response_met IS NULL
        AND t.response_due_at < %(now)s AND t.resolution_met IS NOT FALSE
    UNION
    SELECT t.number FROM tickets t WHERE t.workspace_id = %(workspace_id)s AND t.resolution_met IS NULL
        AND t.resolution_due_at < %(now)s AND t.response_met IS NOT FALSE"""
"""Overdue at this moment and not yet found so: few, for the next timer does."""

_TICKET = "SELECT t.* FROM tickets t WHERE t.workspace_id = %(workspace_id)s AND t.number = {}.number OFFSET 0"
"""One by one, whatever the planner thinks of how many there may be."""


def serves(asked: TicketsAsked, sought: Sought | None) -> bool:
    """Whether marks tell which tickets are meant. A search must be for plain words."""
    if sought is not None and sought.words is None:
        return False
    given = {name for name in asked.model_fields_set - PAGING if getattr(asked, name) is not None}
    return bool(given & {"tags", "search", "sla_breach"}) and given <= _KNOWN


def _sets(asked: TicketsAsked, sought: Sought | None) -> list[list[str]]:
    """The marks of which a ticket must bear one, for each condition but the tags, of which it must bear all."""
    sets = [[f"w:{word}" for word in each] for each in (sought.words if sought else None) or []]
    for name, kind in _MARKED.items():
        if (values := getattr(asked, name)) is not None:
            known = ["" if name == "assigned_to" and value == NOBODY else value for value in values]
            sets.append([f"{kind}:{value}" for value in known])
    return sets + ([[f"m:{asked.sla_breach}"]] if asked.sla_breach is not None else [])


def _borne(sets: int, *, tagged: bool) -> str:
    """What tickets of each stretch bear one of the marks of every set, and all tags.

    The sub-selects hide the marks from the planner, who would else think anew about every call, for no other plan.
    """
    chosen = """SELECT m.stretch, {}(m.tickets) AS tickets FROM ticket_marks m
        WHERE m.workspace_id = %(workspace_id)s AND m.mark = ANY((SELECT %({})s::text[])::text[]) GROUP BY 1"""
    each = [f"({chosen.format('bit_or', f'marks_{n}')}) s{n}" for n in range(sets)]
    if tagged:
        all_tags = "HAVING count(*) = cardinality((SELECT %(tag_marks)s::text[]))"
        each.append(f"({chosen.format('bit_and', 'tag_marks')} {all_tags}) s{sets}")
    joined = " ".join([each[0], *(f"JOIN {one} USING (stretch)" for one in each[1:])])
    # The last of them does nothing but unpack the bits once, where they would else be unpacked for every span.
    bits = " & ".join([*(f"s{n}.tickets" for n in range(len(each))), "~0::bit(16384)"])
    return f"SELECT stretch, {bits} AS tickets FROM {joined}"


def _near(asked: TicketsAsked, held: str, key: str) -> str:
    """What of `held` (stretches, or spans of those) the page must lie in, by when tickets were created; in other orders
    that may be any.

    Going through them from the place where the page begins, those that hold as many tickets as the page needs tell how
    far it can reach. Unsettled tickets may not count in the end, so that many more are needed.
    """
    if asked.sort_by != "created_at":
        return f"SELECT * FROM {held}"
    newest = asked.sort_order == "desc"
    first, last, reach = ("latest", "earliest", "min") if newest else ("earliest", "latest", "max")
    before, after = (">=", "<") if newest else ("<=", ">")
    need = f"{asked.offset + asked.per_page + 1} + (SELECT count(*) FROM doubtful)"
    return f"""WITH b AS MATERIALIZED (  -- once, however the planner joins it
            SELECT {reach}(r.{last}) FILTER (WHERE r.reached - r.n < {need}) AS bound,
                   max(r.reached) >= {need} AS enough
            FROM (SELECT n, {last}, sum(n) OVER (ORDER BY {first} {asked.sort_order}, {key}) AS reached
                  FROM {held} {f"WHERE {first} {after} %(after)s" if asked.after else ""}) r)
        SELECT h.* FROM {held} h, b
        WHERE (b.enough IS NOT TRUE OR h.{first} {before} b.bound)
            {f"AND h.{last} {after}= %(after)s" if asked.after else ""}"""


def _unsettled(asked: TicketsAsked, where: Conditions) -> str:
    """The unsettled tickets that are meant, by looking at them."""
    tests = [where.text]
    if asked.sla_breach == "true":
        tests.append(f"({MISSED} IS TRUE OR {OVERDUE})")
    if asked.tags is not None:
        tests.append("t.tags @> %(tags)s::text[]")
    words = ""
    if asked.search is not None:
        words = """CROSS JOIN LATERAL (
            SELECT w.words FROM ticket_words w
            WHERE w.workspace_id = %(workspace_id)s AND w.ticket_id = t.id OFFSET 0) w"""
        tests.append("w.words @@ %(query)s::tsquery")
    return f"""SELECT t.number FROM unsettled d CROSS JOIN LATERAL ({_TICKET.format("d")}) t
        {words} WHERE {" AND ".join(tests)}"""


async def found(tx: Tx, asked: TicketsAsked, where: Conditions, sought: Sought | None) -> Found:
    """The page of a list that marks serve, and its total."""
    sets = _sets(asked, sought)
    ctes = f"""
        unsettled AS MATERIALIZED (
            SELECT DISTINCT c.number FROM ticket_mark_changes c WHERE c.workspace_id = %(workspace_id)s
            {"" if asked.sla_breach is None else _LATE}),
        looked_at AS MATERIALIZED ({_unsettled(asked, where)}),
        borne AS MATERIALIZED ({_borne(len(sets), tagged=asked.tags is not None)}),
        doubtful AS MATERIALIZED (
            SELECT u.number FROM unsettled u JOIN borne b ON b.stretch = u.number >> 14
            WHERE get_bit(b.tickets, (u.number & 16383)::integer) = 1),
        stretches AS MATERIALIZED (
            SELECT b.stretch, b.tickets, bit_count(b.tickets)::integer AS n, s.earliest, s.latest
            FROM borne b CROSS JOIN LATERAL (
                SELECT min(s.earliest) AS earliest, max(s.latest) AS latest FROM ticket_spans s
                WHERE s.workspace_id = %(workspace_id)s AND s.span BETWEEN b.stretch << 4 AND (b.stretch << 4) + 15) s
            WHERE bit_count(b.tickets) > 0),
        near_stretches AS MATERIALIZED ({_near(asked, "stretches", "stretch")}),
        parts AS MATERIALIZED (
            SELECT (b.stretch << 4) + q.quarter AS span, p.part
            FROM near_stretches b CROSS JOIN generate_series(0, 15) AS q (quarter)
            CROSS JOIN LATERAL (SELECT substring(b.tickets FROM q.quarter * 1024 + 1 FOR 1024) AS part OFFSET 0) p
            WHERE bit_count(p.part) > 0),
        held AS MATERIALIZED (
            SELECT p.span, s.earliest, s.latest, bit_count(p.part)::integer AS n, p.part
            FROM parts p JOIN ticket_spans s ON s.workspace_id = %(workspace_id)s AND s.span = p.span),
        near AS MATERIALIZED ({_near(asked, "held", "span")}),
        chosen AS MATERIALIZED (
            SELECT (n.span << 10) + w.word * 64 + b.place AS number
            FROM near n CROSS JOIN generate_series(0, 15) AS w (word)
            CROSS JOIN LATERAL (SELECT substring(n.part FROM w.word * 64 + 1 FOR 64) AS piece OFFSET 0) p
            CROSS JOIN generate_series(0, 63) AS b (place)
            WHERE bit_count(p.piece) > 0 AND get_bit(p.piece, b.place) = 1
            EXCEPT SELECT number FROM doubtful
            UNION ALL SELECT number FROM looked_at)"""
    place = " OR ".join(f"({one})" for one in places(asked.after))
    page = f"""SELECT t.* FROM chosen c CROSS JOIN LATERAL ({_TICKET.format("c")}) t
        WHERE {place} ORDER BY {order(asked)} {limit(asked, asked.offset)}"""
    total = """coalesce((SELECT sum(bit_count(tickets)) FROM borne), 0) - (SELECT count(*) FROM doubtful)
        + (SELECT count(*) FROM looked_at)"""
    params = {**where.params, **place_params(asked.after), "query": sought and sought.query, "tags": asked.tags}
    params |= {f"marks_{n}": marks for n, marks in enumerate(sets)}
    params["tag_marks"] = [f"t:{tag}" for tag in asked.tags or []]
    return await counted(tx, ctes, total, page, asked, params)


async def fold(tx: Tx) -> int:
    """Folds what changes of tickets have noted into the marks; how many notes, `FOLDED_AT_ONCE` at the most.

    One process at a time, for which others do not wait.
    """
    if not await may_fold(tx, "ticketry.fold_marks"):
        return 0
    row = await tx.one("SELECT fold_ticket_marks(%s)", (FOLDED_AT_ONCE,))
    return int(row[0]) if row else 0
