"""What promises cost a close: business hours against 24/7, and 100,000 open tickets with due moments against few.

`python -m bench.sla` runs it alone and prints what it finds, the figures of one ticket's clock with it.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Annotated
from urllib.request import Request, urlopen

import typer
from rich.console import Console
from rich.progress import Progress

from bench import pgbench, report, wrk
from bench.clocks import clock
from bench.house import House
from bench.report import Aims, Section, Table
from bench.server import Served
from bench.session import Session
from bench.wrk import Load

ROUNDS = 11
"""Rounds in which the two sides take turns, so that both share the machine's moods."""
FASTEST = 3_500
"""Closes a second that no run exceeds; so many tickets are kept ready. A run that exceeds it fails."""
OPEN = 100_000
OFFICE = {"name": "Office", "opening_hours": "Mo-Fr 09:00-12:00,13:00-18:00; PH off", "time_zone": "Europe/Berlin"}
TARGETS = {
    "1": {"response": 60, "resolution": 480},
    "2": {"response": 480, "resolution": 1440},
    "3": {"response": 1440, "resolution": 4320},
    "4": {"response": 10080, "resolution": 20160},
}


@dataclass
class Side:
    """One of the two that are compared: closes of tickets numbered from `next` on, by one server."""

    name: str
    served: Served
    key: str
    next: int

    def close(self, seconds: int) -> Load:
        """Closes for so long, each ticket once."""
        script = (
            wrk.head("PUT", self.key)
            + f"local n, body = {self.next - 1}, {wrk.lua(json.dumps(pgbench.CLOSING))}\n"
            + "request = function()\n  n = n + 1\n"
            + "  return wrk.format(nil, string.format('/v1/tickets/ticket_01%024d/close', n), nil, body)\nend\n"
        )
        self.next += FASTEST * seconds
        return wrk.run(self.served, script, 16, seconds)


def _posted(served: Served, key: str, path: str, body: object) -> str:
    """The id of what was made."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = Request(served.url + path, json.dumps(body).encode(), headers)
    with urlopen(asked, timeout=60) as answer:
        return str(json.load(answer)["data"]["id"])


def _business_hours(house: House, served: Served, first: int, count: int) -> None:
    """Puts tickets under a policy with business hours."""
    calendar = _posted(served, house.key, "/v1/sla/calendars", {**OFFICE, "country": "DE", "closed_days": []})
    body = {"name": "Office", "targets": TARGETS, "calendar_id": calendar, "conditions": {"category": ["none"]}}
    policy = _posted(served, house.key, "/v1/sla/policies", body)
    with house.database() as conn:
        conn.execute(
            "UPDATE tickets SET sla_policy_id = %s WHERE number >= %s AND number < %s", (policy, first, first + count)
        )
        conn.execute("VACUUM (ANALYZE) tickets")


@dataclass(frozen=True)
class Pair:
    """The median of each side, and the median over the rounds of how much longer a close of the second side took."""

    first: Load
    second: Load
    ratio: float


def _alternated(session: Session, what: str, sides: tuple[Side, Side], seconds: int) -> Pair:
    """Both sides, in turns."""
    runs: tuple[list[Load], list[Load]] = ([], [])
    for side in sides:
        side.close(1)
    for number in session.progress.track(range(ROUNDS), description=what):
        for place in (0, 1) if number % 2 else (1, 0):
            runs[place].append(sides[place].close(seconds))
    ratio = median(one.rate / other.rate for one, other in zip(*runs, strict=True))
    return Pair(wrk.middle(runs[0]), wrk.middle(runs[1]), ratio)


def _needed(seconds: int) -> int:
    return FASTEST * (1 + ROUNDS * seconds)


def _hours(session: Session, seconds: int) -> Pair:
    house, count = session.house(session.small), _needed(seconds)
    first = house.add(2 * count, "load open tickets for both calendars", all_open=True)
    with house.serve("--no-worker") as served:
        _business_hours(house, served, first + count, count)
        sides = (Side("24/7", served, house.key, first), Side("business hours", served, house.key, first + count))
        return _alternated(session, "closes, by calendar", sides, seconds)


def _open(session: Session, seconds: int) -> Pair:
    few, many = session.house(session.small), session.house(session.small + 1)
    many.add(OPEN, f"load {OPEN:,} open tickets", all_open=True)
    starts = [house.add(_needed(seconds), "load open tickets to close", all_open=True) for house in (few, many)]
    with few.serve("--no-worker") as one, many.serve("--no-worker") as other:
        sides = (Side("few", one, few.key, starts[0]), Side("many", other, many.key, starts[1]))
        return _alternated(session, "closes, by open tickets", sides, seconds)


def _row(name: str, load: Load) -> tuple[str, ...]:
    figures = (f"{load.rate:,.0f}", f"{load.p50:.2f}", f"{load.p99:.2f}", f"{load.api_cpu:.0f}")
    return (name, *figures, f"{load.database_cpu:.0f}")


def sla(session: Session) -> Section:
    """Closes by calendar, and by how many open tickets have due moments."""
    seconds = max(1, round(session.seconds / 5))
    table = Table(("Closes, 16 connections", "Requests/s", "p50 ms", "p99 ms", "API CPU µs", "Database CPU µs"))
    aims = Aims()
    hours = _hours(session, seconds)
    table.rows += [_row("24/7", hours.first), _row("business hours, holidays", hours.second)]
    aims.below("time of a close, business hours / 24/7", hours.ratio, 1.25, "{:.2f}")
    tickets = _open(session, seconds)
    table.rows += [_row(f"beside {session.small:,} tickets", tickets.first)]
    table.rows += [_row(f"and {OPEN:,} open ones", tickets.second)]
    aims.below(f"time of a close, {OPEN:,} open tickets / few", tickets.ratio, 1.10, "{:.2f}")
    notes = [
        f"Each pair takes turns in {ROUNDS} rounds of {seconds} s; the median of the rounds' ratios counts. "
        "The open tickets all have due moments and an alarm ahead."
    ]
    return Section("sla", "What promises cost a close", [table, aims], notes)


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long each figure is measured.")] = 10.0,
    small: Annotated[int, typer.Option(min=500, help="Tickets beside those that are closed.")] = 10_000,
) -> None:
    """Measure what promises cost, and print it. Nothing is written; everything made is removed."""
    wrk.found()
    console = Console()
    with Progress(console=console, transient=True) as progress, ExitStack() as stack:
        session = Session(small, small, seconds, progress, stack)
        sections = [clock(session), sla(session)]
    for section in sections:
        report.show(section, console)


if __name__ == "__main__":
    typer.run(main)
