"""The list of tickets: each call on a small and on the large installation, so that growth shows."""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlencode

from bench import wrk
from bench.house import House
from bench.report import Section, Table, verdict
from bench.rows import AGENTS, CATEGORIES, TAGS, contact_of
from bench.server import Served
from bench.session import Session
from bench.texts import RARE, Writer
from bench.wrk import Load
from ticketry.tickets.search.models import Cursor

GROWTH, P99 = 3.0, 50.0
PROBES = 5
TOO_SLOW = 0.3
"""Seconds of a single call from which on sixteen at once would not come back while we measure."""
Paths = list[str]
Call = Callable[[House], Paths]
DEPTH = 0.9


def _path(**asked: object) -> str:
    return f"/v1/tickets?{urlencode(asked)}"


def _first(house: House) -> Paths:
    return ["/v1/tickets"]


def _deep(house: House) -> Paths:
    created, id_ = house.one(
        """SELECT created_at, id FROM tickets WHERE workspace_id = %s ORDER BY created_at DESC, id DESC
           LIMIT 1 OFFSET %s""",
        (house.workspace_id, int(house.tickets * DEPTH)),
    )
    place = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [_path(cursor=Cursor("created_at", "desc", place, id_).text())]


def _contacts(house: House) -> Paths:
    rng = random.Random(1)
    return [_path(contact_id=contact_of(rng.randrange(max(1, house.tickets // 10)))) for _ in range(200)]


def _created(days: float) -> Call:
    """Windows of so many days, spread over half a year."""

    def paths(house: House) -> Paths:
        now = datetime.now(UTC).replace(microsecond=0)
        begins = [now - timedelta(days=30 + 9 * step) for step in range(16)]
        return [
            _path(created_after=at.isoformat(), created_before=(at + timedelta(days=days)).isoformat()) for at in begins
        ]

    return paths


def _each(values: Sequence[object], name: str, **more: object) -> Call:
    """The same call with each of these values."""
    return lambda house: [_path(**{name: value}, **more) for value in values]


def _parts(words: Sequence[str]) -> list[str]:
    """The middle of long words."""
    return [word[1:7] for word in words if len(word) >= 8][:5]


_WRITER = Writer()
_COMMON = _WRITER.common(0.01, 5)
_LONG = [word for word in _WRITER.common(0.001, 60) if len(word) >= 8]

CALLS: dict[str, Call] = {
    "first page": _first,
    f"cursor at depth {DEPTH:.0%}": _deep,
    "sorted by due date": lambda house: [_path(sort_by="due_date", sort_order="asc")],
    "sorted by priority": lambda house: [_path(sort_by="priority", sort_order="asc")],
    "status + priority": _each(("open", "closed", "in_progress"), "status", priority=2),
    "open states, sorted by priority": lambda house: [
        _path(status="new,open,in_progress,reopened", sort_by="priority", sort_order="asc")
    ],
    "assignee": _each(AGENTS, "assigned_to"),
    "assignee + open states": _each(AGENTS, "assigned_to", status="new,open,in_progress,reopened"),
    "category + status": _each(CATEGORIES, "category", status="waiting_on_customer"),
    "one tag": _each(TAGS, "tags"),
    "two tags": _each([f"{TAGS[0]},{tag}" for tag in TAGS[1:20]], "tags"),
    "created within a day": _created(1),
    "created within a month": _created(30),
    "contact": _contacts,
    "sla_breach=true": lambda house: [_path(sla_breach="true")],
    "sla_breach=true + open states": lambda house: [_path(sla_breach="true", status="new,open,in_progress")],
    "sla_breach=true + assignee": _each(AGENTS, "assigned_to", sla_breach="true"),
    "search a rare word": _each(RARE, "search"),
    "search a common word (1 %)": _each(_COMMON, "search"),
    "search a part of a word": _each(_parts(_LONG), "search"),
    "search a common word + open": _each(_COMMON, "search", status="open"),
    "search a number": lambda house: [_path(search=f"TICK-{n * house.tickets // 50}") for n in range(1, 40)],
}


@dataclass(frozen=True)
class Seen:
    """One call on one installation; without `many` if it is too slow to be called by sixteen at once."""

    matches: int
    one: Load
    many: Load | None


def _probe(served: Served, house: House, paths: Paths) -> tuple[int, list[float]]:
    """How many tickets match on average, and the seconds of some warm calls."""
    totals, taken = [], []
    for path in paths[:PROBES] * 2:
        begun = time.perf_counter()
        totals.append(json.loads(served.get(path, house.key))["meta"]["total"])
        taken.append(time.perf_counter() - begun)
    return sum(totals) // len(totals), taken[len(taken) // 2 :]


def _seen(served: Served, house: House, call: Call, seconds: float) -> Seen:
    paths = call(house)
    matches, taken = _probe(served, house, paths)
    if (middle := median(taken)) > TOO_SLOW:
        return Seen(matches, Load(len(taken), 1 / middle, middle * 1000, max(taken) * 1000, 0, 0), None)
    script = wrk.gets(house.key, paths)
    wrk.run(served, script, 16, 1)  # every connection has a plan for it, as in a server that has run for a while
    one = wrk.run(served, script, 1, seconds / 4)
    return Seen(matches, one, wrk.run(served, script, 16, seconds / 2))


def _all(session: Session, house: House) -> dict[str, Seen]:
    with house.serve("--no-worker") as served:
        wrk.run(served, wrk.gets(house.key, ["/v1/tickets"]), 16, 1)
        steps = session.progress.track(CALLS.items(), description=f"lists of {house.tickets:,} tickets")
        return {name: _seen(served, house, call, session.seconds) for name, call in steps}


def _row(name: str, small: Seen, large: Seen) -> tuple[str, ...]:
    growth = large.one.p50 / small.one.p50
    return (
        name,
        f"{large.matches:,}",
        f"{small.one.p50:.2f} → {large.one.p50:.2f}",
        f"{growth:.1f} {verdict(growth <= GROWTH)}",
        *_under_load(small, large),
        f"{large.one.api_cpu / 1000:.1f}",
        f"{large.one.database_cpu / 1000:.1f}",
    )


def _under_load(small: Seen, large: Seen) -> tuple[str, str, str]:
    """The cells of sixteen connections: p50 and its growth, p99."""
    if small.many is None or large.many is None:
        return "too slow", f"- {verdict(False)}", f"- {verdict(False)}"
    growth = large.many.p50 / small.many.p50
    return (
        f"{small.many.p50:.1f} → {large.many.p50:.1f}",
        f"{growth:.1f} {verdict(growth <= GROWTH)}",
        f"{small.many.p99:.1f} → {large.many.p99:.1f} {verdict(large.many.p99 < P99)}",
    )


def lists(session: Session) -> Section:
    """Every call at both sizes."""
    large_house, small_house = session.large, session.house(session.small)
    small, large = _all(session, small_house), _all(session, large_house)
    table = Table((
        "Call", "Matches (mean)", "p50 ms, 1 conn.", f"growth (aim ≤ {GROWTH:g})", "p50 ms, 16 conn.",
        f"growth (aim ≤ {GROWTH:g})", f"p99 ms, 16 conn. (aim < {P99:g})",
        "API CPU ms", "Database CPU ms",
    ))  # fmt: skip
    table.rows = [_row(name, small[name], large[name]) for name in CALLS]
    notes = [
        f"Pages of 25, one API process. Growth is the p50 of the large installation over that of the small one. Calls "
        f"that take more than {TOO_SLOW:g} s by themselves are not made by sixteen at once. CPU of one connection.",
    ]
    title = f"Lists: {session.small:,} → {session.tickets:,} tickets"
    return Section("list", title, [table], notes)
