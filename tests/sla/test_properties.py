"""What must hold for every history, whatever the figures."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ticketry.sla.business_time import LOOK_AHEAD_SECONDS, instant_after, seconds_between
from ticketry.sla.explain import explain
from ticketry.sla.models import AT_REST, REOPENED, Calendar, Fact
from ticketry.sla.rules import advance, fold, seen, step

from .oracle import MINUTE, Week
from .test_oracle import ANCHORS, History, histories, weeks

quick = settings(max_examples=150, deadline=None)


def with_odd_seconds(history: History, shift: int) -> tuple[Fact, ...]:
    """The same history off the minute, as real ones are."""
    odd = timedelta(seconds=shift, microseconds=999)
    return tuple(replace(fact, at=fact.at + odd * index) for index, fact in enumerate(history.facts))


@quick
@given(histories(), st.integers(0, 59))
def test_elapsed_never_decreases_and_the_past_is_never_rewritten(history: History, shift: int) -> None:
    facts = with_odd_seconds(history, shift)
    clocks = [fold(history.policy, facts[:known]) for known in range(1, len(facts) + 1)]
    for before, after, fact in zip(clocks, clocks[1:], facts[1:], strict=False):
        assert after.since >= before.since
        assert after.response_spent >= before.response_spent
        assert after.resolution_spent >= before.resolution_spent
        if before.response_completed_at is not None:
            assert (after.response_met, after.response_due_at, after.response_completed_at) == (
                before.response_met,
                before.response_due_at,
                before.response_completed_at,
            )
        if before.resolution_completed_at is not None and fact.status != REOPENED:
            assert after.resolution_met == before.resolution_met
            assert after.resolution_spent == before.resolution_spent


@quick
@given(histories(), st.integers(0, 59))
def test_folding_step_by_step_is_folding_at_once(history: History, shift: int) -> None:
    facts = with_odd_seconds(history, shift)
    clock = fold(history.policy, facts[:1])
    for fact in facts[1:]:
        clock = step(history.policy, clock, fact)
    assert clock == fold(history.policy, facts)


@quick
@given(histories(), st.data())
def test_looking_at_a_clock_in_between_changes_nothing(history: History, data: st.DataObject) -> None:
    index = data.draw(st.integers(1, len(history.facts)))
    at = history.facts[index - 1].at + data.draw(st.integers(0, 2000)) * MINUTE
    if index < len(history.facts):
        at = min(at, history.facts[index].at)
    looked = (*history.facts[:index], Fact(at), *history.facts[index:])
    clock, plain = fold(history.policy, looked), fold(history.policy, history.facts)
    if index < len(history.facts):
        assert clock == plain
    else:
        assert seen(clock, at) == seen(plain, at)


@quick
@given(histories(), st.integers(0, 59))
def test_the_explanation_adds_up_to_the_stored_clock(history: History, shift: int) -> None:
    facts = with_odd_seconds(history, shift)
    at = facts[-1].at + timedelta(hours=30)
    clock = advance(history.policy, fold(history.policy, facts), at)
    cycles = explain(history.policy, facts, at).cycles
    intervals = [interval for cycle in cycles for interval in cycle.intervals]
    assert [cycle.cycle for cycle in cycles] == list(range(1, clock.cycle + 1))
    for name, promise, spent in (
        ("response", cycles[-1].response, clock.response_spent),
        ("resolution", cycles[-1].resolution, clock.resolution_spent),
    ):
        assert promise.elapsed_seconds == spent
        assert sum(interval.seconds for interval in intervals if name in interval.counts_for) == spent
    assert (cycles[-1].response.met, cycles[-1].resolution.met) == (clock.response_met, clock.resolution_met)
    assert cycles[-1].resolution.due_at == clock.resolution_due_at
    # The intervals tell the whole life: no gap, no overlap, from creation to the close or the present.
    # A ticket closed in the second it was made has none.
    born = facts[0].at.replace(microsecond=0)
    edges = [(born, born), *((it.start, it.end) for it in intervals)]
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
    assert edges[-1][1] == clock.since
    assert all(it.start < it.end for it in intervals)


@quick
@given(histories(), st.integers(0, 3000), st.integers(0, 6000))
def test_pausing_never_makes_a_breach_earlier(history: History, begins: int, lasts: int) -> None:
    first = replace(history.facts[0], status="open")
    answers = [fact for fact in (replace(it, status=None, priority=None) for it in history.facts[1:]) if fact.responded]
    pause = (
        Fact(first.at + begins * MINUTE, "waiting_on_customer"),
        Fact(first.at + (begins + lasts) * MINUTE, "open"),
    )
    plain = fold(history.policy, (first, *answers))
    paused = fold(history.policy, (first, *sorted((*answers, *pause), key=lambda fact: fact.at)))
    assert paused.response_due_at == plain.response_due_at
    if plain.resolution_due_at is not None:
        assert paused.resolution_due_at is not None
        assert paused.resolution_due_at >= plain.resolution_due_at


@quick
@given(histories())
def test_a_clock_never_runs_or_falls_due_at_rest(history: History) -> None:
    clock = fold(history.policy, history.facts)
    if clock.status in AT_REST:
        later = clock.since + timedelta(days=400)
        after = advance(history.policy, clock, later)
        assert after.response_spent == clock.response_spent
        assert after.resolution_spent == clock.resolution_spent
        assert seen(clock, later) == seen(clock, clock.since)


@quick
@given(weeks(), st.integers(0, 10**7), st.integers(1, 10**6))
@example(Week((0,), ((0, 15),), "UTC"), 0, 974_701)
def test_instant_after_is_the_first_by_which_the_seconds_are_up(week: Week, skip: int, seconds: int) -> None:
    calendar = Calendar(week.expression(), week.zone, None, week.closed)
    start = ANCHORS[0] + timedelta(seconds=skip)
    end = instant_after(calendar, start, seconds)
    if end is None:  # an hour a week, say: too far away to matter
        assert seconds_between(calendar, start, start + timedelta(seconds=LOOK_AHEAD_SECONDS)) < seconds
        return
    assert seconds_between(calendar, start, end) == seconds
    assert seconds_between(calendar, start, end - timedelta(seconds=1)) == seconds - 1


@quick
@given(weeks(), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**8))
def test_open_seconds_add_up(week: Week, a: int, b: int, c: int) -> None:
    calendar = Calendar(week.expression(), week.zone, None, week.closed)
    first, middle, last = (ANCHORS[0] + timedelta(seconds=n) for n in sorted((a, b, c)))
    whole = seconds_between(calendar, first, last)
    assert seconds_between(calendar, first, middle) + seconds_between(calendar, middle, last) == whole
    assert 0 <= whole <= (last - first).total_seconds()


@quick
@given(histories())
def test_the_fast_path_for_always_open_is_no_other_rule(history: History) -> None:
    fast = replace(history.policy, calendar=Calendar())
    slow = replace(history.policy, calendar=Calendar("Mo-Su 00:00-24:00", "Europe/Berlin"))
    assert fold(fast, history.facts) == fold(slow, history.facts)
