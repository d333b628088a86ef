"""The engine against the oracle, on random calendars, zones and histories."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ticketry.sla.business_time import instant_after, seconds_between
from ticketry.sla.models import Calendar, Clock, Fact, Policy, Target
from ticketry.sla.rules import fold, seen

from .oracle import MINUTE, Walker, Week

# Starts near clock changes, a leap day and a new year, besides quiet weeks.
ANCHORS = [
    datetime(2025, 3, 28, tzinfo=UTC),
    datetime(2025, 10, 24, tzinfo=UTC),
    datetime(2024, 2, 27, tzinfo=UTC),
    datetime(2025, 12, 29, tzinfo=UTC),
    datetime(2025, 11, 1, tzinfo=UTC),
    datetime(2025, 4, 4, tzinfo=UTC),
    datetime(2025, 6, 11, tzinfo=UTC),
]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Chatham",
]
STATUSES = [
    "open",
    "in_progress",
    "waiting_on_customer",
    "waiting_on_third_party",
    "resolved",
    "closed",
    "reopened",
]


@st.composite
def weeks(draw: st.DrawFn) -> Week:
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    edges = sorted(draw(st.sets(st.integers(0, 96), min_size=2, max_size=6)))
    times = [(a * 15, b * 15) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    if len(edges) % 2 and edges[-1] < 96 and edges[0] > 0:  # one over midnight, up to where the day begins
        times.append((edges[-1] * 15, 1440 + draw(st.integers(1, edges[0])) * 15))
    closed = draw(st.sets(st.dates(date(2025, 3, 27), date(2025, 4, 12)), max_size=2))
    return Week(tuple(sorted(days)), tuple(times), draw(st.sampled_from(ZONES)), tuple(sorted(closed)))


@dataclass(frozen=True)
class History:
    policy: Policy
    week: Week
    facts: tuple[Fact, ...]

    def walkers(self, horizon: timedelta) -> Iterator[tuple[int, Walker]]:
        """The oracle after each fact in turn."""
        first = self.facts[0]
        assert first.status is not None
        assert first.priority is not None
        targets = {key: (it.response, it.resolution) for key, it in self.policy.targets.items()}
        minutes = self.week.open_minutes(first.at, self.facts[-1].at + horizon)
        walker = Walker(targets, self.policy.pause_on_third_party, first.at, first.status, first.priority, minutes)
        yield 1, walker
        for index, fact in enumerate(self.facts[1:], start=2):
            walker.happens(fact.at, fact.status, fact.priority, fact.responded)
            yield index, walker


minutes = st.one_of(st.none(), st.integers(1, 600), st.integers(1, 4000))


@st.composite
def histories(draw: st.DrawFn) -> History:
    week = draw(weeks())
    targets = {priority: Target(draw(minutes), draw(minutes)) for priority in (1, 2, 3)}
    calendar = Calendar(week.expression(), week.zone, None, week.closed)
    policy = Policy("p", 1, "Random", targets, calendar, draw(st.booleans()))
    at = draw(st.sampled_from(ANCHORS)) + timedelta(minutes=draw(st.integers(0, 4 * 1440)))
    facts = [Fact(at, draw(st.sampled_from(["new", "open"])), draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 7))):
        at += timedelta(minutes=draw(st.one_of(st.integers(0, 90), st.integers(0, 2500))))
        status = draw(st.one_of(st.none(), st.sampled_from(STATUSES)))
        priority = draw(st.one_of(st.none(), st.none(), st.integers(1, 3)))
        facts.append(Fact(at, status, priority, draw(st.sampled_from([False, False, True]))))
    return History(policy, week, tuple(facts))


def standing(clock: Clock) -> tuple[object, ...]:
    return (
        clock.cycle,
        clock.status,
        clock.priority,
        clock.response_spent,
        clock.resolution_spent,
        clock.response_completed_at,
        clock.resolution_completed_at,
        clock.response_met,
        clock.resolution_met,
    )


def oracle_standing(walker: Walker) -> tuple[object, ...]:
    return (
        walker.cycle,
        walker.status,
        walker.priority,
        walker.response.spent * 60,
        walker.resolution.spent * 60,
        walker.response.done,
        walker.resolution.done,
        walker.response.met,
        walker.resolution.met,
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_engine_and_oracle_agree_after_every_fact(history: History) -> None:
    for known, walker in history.walkers(timedelta()):
        assert standing(fold(history.policy, history.facts[:known])) == oracle_standing(walker)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_the_due_moments_foretold_are_those_the_oracle_comes_to(history: History) -> None:
    horizon = timedelta(days=10)
    clock = fold(history.policy, history.facts)
    for known, walker in history.walkers(horizon):
        if known == len(history.facts):
            before = walker.response.done, walker.resolution.done
            end = clock.since + horizon
            walker.walk(end)
            for watch, done, due in (
                (walker.response, before[0], clock.response_due_at),
                (walker.resolution, before[1], clock.resolution_due_at),
            ):
                if not (done and watch.met):  # in time: the oracle never came to the due moment
                    assert watch.due == (due if due is not None and due <= end else None)
            assert seen(clock, end).response_met == walker.response.met
            assert seen(clock, end).resolution_met == walker.resolution.met


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weeks(), st.sampled_from(ANCHORS), st.integers(0, 6000), st.integers(0, 9000), st.integers(1, 3000))
def test_open_seconds_and_their_end_are_the_oracle_s(
    week: Week, anchor: datetime, skip: int, length: int, wanted: int
) -> None:
    calendar = Calendar(week.expression(), week.zone, None, week.closed)
    start = anchor + skip * MINUTE
    end = start + length * MINUTE
    open_minutes = sorted(week.open_minutes(start, end + timedelta(days=1)))
    assert seconds_between(calendar, start, end) == 60 * sum(start <= at < end for at in open_minutes)
    ahead = [at for at in open_minutes if start <= at < end]
    if wanted <= len(ahead):
        assert instant_after(calendar, start, wanted * 60) == ahead[wanted - 1] + MINUTE
