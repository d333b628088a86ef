"""Closes in bulk beside closes one by one, over one connection."""

import json
from statistics import median

from bench import pgbench, wrk
from bench.calls import Desk, Stock
from bench.report import Aims, Section, Table
from bench.rows import id_of
from bench.session import Session
from bench.wrk import Load

ROUNDS = 5
SHORTEST = 2.0
"""Seconds of a run at the least: the request that its end breaks off, half of one on the average, is not counted."""
OPERATIONS = 100
FASTEST = 4_000
"""Operations a second that no API process exceeds."""


def bulk(desk: Desk, seconds: float, *, repeatable: bool) -> Load:
    """Closes a hundred tickets a request, each with all that a close can say; with an `Idempotency-Key` if wanted."""
    count = round(FASTEST * max(1, round(seconds)))
    first = desk.stock.take(count)
    operation = {"action": "close", "ticket_id": "%s", "params": pgbench.CLOSING}
    key = "  wrk.headers['Idempotency-Key'] = 'bench ' .. n\n" if repeatable else ""
    script = (
        wrk.head("POST", desk.house.key)
        + f"local n, operation = {first - 1}, {wrk.lua(json.dumps(operation))}\n"
        + "request = function()\n  local all = {}\n"
        + f"  for k = 1, {OPERATIONS} do\n    n = n + 1\n"
        + "    all[k] = string.format(operation, string.format('ticket_01%024d', n))\n  end\n"
        + key
        + "  return wrk.format(nil, '/v1/tickets/bulk', nil, "
        + "'{\"operations\": [' .. table.concat(all, ', ') .. ']}')\nend\n"
    )
    load = wrk.run(desk.served, script, 1, seconds)
    _check(desk, first, count, load.requests * OPERATIONS)
    return load


def _check(desk: Desk, first: int, count: int, answered: int) -> None:
    """Every operation of a request that was answered closed its ticket; the last request may be done unanswered."""
    query = "SELECT count(*) FROM tickets WHERE status = 'closed' AND id BETWEEN %s AND %s"
    (closed,) = desk.house.one(query, (id_of(first), id_of(first + count - 1)))
    if not answered <= closed <= answered + OPERATIONS:
        raise SystemExit(f"of {answered} tickets {closed} were closed")


def measure(session: Session) -> Section:
    """Rounds in which the three take turns, so that all share the machine's good and bad moments."""
    slice_, house = max(SHORTEST, session.seconds / ROUNDS), session.large
    stock, kinds = Stock(house), ("one by one", "in bulk", "in bulk, repeatable")
    stock.fill(round((ROUNDS + 1) * 2 * FASTEST * round(slice_) + 2_000 * (ROUNDS * round(slice_) + 1)))
    loads: dict[str, list[Load]] = {kind: [] for kind in kinds}
    with house.serve("--no-worker") as served:
        desk = Desk(house, served, stock)
        desk.close(1, 1)
        bulk(desk, 1, repeatable=False)
        for _ in session.progress.track(range(ROUNDS), description="close one by one and in bulk"):
            loads["one by one"].append(desk.close(1, slice_))
            loads["in bulk"].append(bulk(desk, slice_, repeatable=False))
            loads["in bulk, repeatable"].append(bulk(desk, slice_, repeatable=True))
        memory = served.memory()
    table = Table(("Closes", "Tickets/s", "p50 ms of a request", "API CPU µs a ticket", "Database CPU µs a ticket"))
    rates = {}
    for kind, runs in loads.items():
        one, each = wrk.middle(runs), 1 if kind == "one by one" else OPERATIONS
        rates[kind] = [run.rate * each for run in runs]
        figures = (f"{median(rates[kind]):,.0f}", f"{one.p50:.2f}", f"{one.api_cpu / each:.0f}")
        table.rows.append((kind, *figures, f"{one.database_cpu / each:.0f}"))
    aims = Aims()
    ratios = {kind: median(b / a for a, b in zip(rates["one by one"], rates[kind], strict=True)) for kind in kinds[1:]}
    aims.at_least("in bulk / one by one, tickets a second over 1 connection", ratios["in bulk"], 3)
    aims.at_least("the same with an Idempotency-Key", ratios["in bulk, repeatable"], 2)
    aims.below("resident memory of the API process, MB", memory, 120, "{:.0f}")
    title = f"Closes in bulk beside {session.tickets:,} tickets"
    return Section("bulk", title, [table, aims], [f"{OPERATIONS} operations a request; ratios are medians of rounds."])
