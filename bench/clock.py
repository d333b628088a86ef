"""What one ticket's clock costs: 50 facts over a year of business hours, holidays and closed days.

Run: `.venv/bin/python bench/clock.py`. Prints microseconds for a replay of the whole history, for one step (which is
what a close costs), for an explanation, and how they compare with a 24/7 calendar. The goal is a replay under 1 ms.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from statistics import median

from ticketry.sla.business_time import _spans, parsed
from ticketry.sla.explain import explain
from ticketry.sla.models import DEFAULT_POLICY, Calendar, Fact, Policy
from ticketry.sla.rules import advance, fold

GOAL = 1000.0
T0 = datetime(2025, 1, 6, 9, 30, tzinfo=UTC)
CLOSED = tuple(date(2025, 12, day) for day in (24, 27, 28, 29, 30, 31))
OFFICE = Calendar("Mo-Fr 09:00-12:00,13:00-18:00; PH off", "Europe/Berlin", "DE", CLOSED)
BUSINESS = Policy("sla_1", 1, "Business", DEFAULT_POLICY.targets, OFFICE, True)
STATUSES = ("in_progress", "waiting_on_customer", "open", "waiting_on_third_party", "open", "resolved", "reopened")


def history(facts: int = 50, days: int = 365) -> list[Fact]:
    gap = timedelta(days=days) / facts
    later = (
        Fact(T0 + gap * n, STATUSES[n % len(STATUSES)], 1 + n % 4 if n % 10 == 0 else None, n == 3)
        for n in range(1, facts)
    )
    return [Fact(T0, "new", 3), *later]


def microseconds(work: Callable[[], object], rounds: int) -> float:
    """The median of seven runs, each an average."""
    runs = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(rounds):
            work()
        runs.append((time.perf_counter() - begun) / rounds * 1e6)
    return median(runs)


def cold() -> float:
    """A first replay in a new process, but for what every calendar of a country shares."""
    fold(BUSINESS, history())
    _spans.cache_clear()
    parsed.cache_clear()
    begun = time.perf_counter()
    fold(BUSINESS, history())
    return (time.perf_counter() - begun) * 1e6


def main() -> int:
    facts, end = history(), T0 + timedelta(days=366)
    first = cold()
    figures = {
        "replay of 50 facts": lambda policy: microseconds(lambda: fold(policy, facts), 200),
        "one step (a close)": lambda policy: microseconds(
            lambda: advance(policy, fresh[policy.name], T0 + timedelta(days=3), status="closed"), 5000
        ),
        "explanation": lambda policy: microseconds(lambda: explain(policy, facts, end), 10),
    }
    fresh = {policy.name: fold(policy, facts[:1]) for policy in (BUSINESS, DEFAULT_POLICY)}
    print(f"{'':24}{'business':>12}{'24/7':>12}{'ratio':>8}")
    measured = {}
    for name, measure in figures.items():
        business, always = measure(BUSINESS), measure(DEFAULT_POLICY)
        measured[name] = business
        print(f"{name:24}{business:9.1f} µs{always:9.1f} µs{business / always:8.2f}")
    print(f"{'replay, nothing cached':24}{first:9.1f} µs")
    replay = measured["replay of 50 facts"]
    print(f"goal: a replay under {GOAL:.0f} µs: {'kept' if replay < GOAL else 'MISSED'} ({replay / GOAL:.2f} of it)")
    return 0 if replay < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
