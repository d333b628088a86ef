"""The rules of the clock, one story a test. Stories are told in minutes after creation, around the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ticketry.sla.models import DEFAULT_POLICY, Calendar, Clock, Fact, Policy, Target
from ticketry.sla.rules import advance, fold, seen, start

T0 = datetime(2025, 6, 9, 9, 0, tzinfo=UTC)  # a Monday
OFFICE = Calendar("Mo-Fr 09:00-17:00")
TARGETS = {1: Target(30, 60), 2: Target(60, 120), 3: Target(120, 240), 4: Target()}
POLICY = Policy("sla_1", 3, "Gold", TARGETS, Calendar())


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def story(*facts: Fact, policy: Policy = POLICY, priority: int = 2, status: str = "open") -> Clock:
    return fold(policy, (Fact(T0, status, priority), *facts))


def f(minutes: float, status: str | None = None, priority: int | None = None, responded: bool = False) -> Fact:
    return Fact(after(minutes), status, priority, responded)


# --- Beginning -------------------------------------------------------------------------------------------


def test_a_new_ticket_has_both_due_moments_and_no_result() -> None:
    clock = start(POLICY, T0, 2, "new")
    assert (clock.response_due_at, clock.resolution_due_at) == (after(60), after(120))
    assert (clock.cycle, clock.since, clock.response_spent, clock.resolution_spent) == (1, T0, 0, 0)
    assert seen(clock, T0) == seen(clock, after(60))
    assert (clock.response_met, clock.resolution_met, clock.paused) == (None, None, False)


def test_the_default_policy_is_the_published_one() -> None:
    minutes = {key: (it.response, it.resolution) for key, it in DEFAULT_POLICY.targets.items()}
    assert minutes == {1: (60, 480), 2: (480, 1440), 3: (1440, 4320), 4: (10_080, 20_160)}
    assert (DEFAULT_POLICY.id, DEFAULT_POLICY.version, DEFAULT_POLICY.calendar) == (None, 1, Calendar())


def test_instants_are_whole_utc_seconds_whatever_comes_in() -> None:
    at = datetime(2025, 6, 9, 11, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    clock = start(POLICY, at, 2, "new")
    assert clock.since == T0
    assert clock.since.tzinfo is UTC
    assert clock.since.microsecond == 0


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        start(POLICY, datetime(2025, 6, 9), 2, "new")  # noqa: DTZ001


# --- Met or missed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "met"), [(0, True), (59.99, True), (60, True), (60 + 1 / 60, False), (500, False)])
def test_the_due_moment_itself_is_in_time(minutes: float, met: bool) -> None:
    clock = story(f(minutes, responded=True))
    assert clock.response_met is met
    assert clock.first_response_at == after(minutes).replace(microsecond=0)


def test_a_passed_due_moment_decides_at_once_for_every_reader() -> None:
    clock = start(POLICY, T0, 2, "open")
    assert seen(clock, after(60)).breached is False
    one_later = seen(clock, after(60) + timedelta(seconds=1))
    assert (one_later.response_met, one_later.resolution_met, one_later.breached) == (False, None, True)
    assert clock.response_met is None  # stored by the next fact only


def test_a_missed_clock_keeps_the_due_moment_it_missed() -> None:
    clock = story(f(90, "waiting_on_customer", responded=True), f(100, "open"), f(700, "closed"))
    assert (clock.response_met, clock.response_due_at) == (False, after(60))
    late = story(f(130, "waiting_on_customer"), f(500, "open"))
    assert (late.resolution_met, late.resolution_due_at) == (False, after(120))


@pytest.mark.parametrize(
    ("at", "met"),
    [
        ("2025-06-13T17:00:00+00:00", True),
        ("2025-06-13T17:00:01+00:00", False),
        ("2025-06-16T09:00:00+00:00", False),
    ],
)
def test_a_target_used_up_at_closing_time_is_due_at_closing_time(at: str, met: bool) -> None:
    policy = replace(POLICY, calendar=OFFICE, targets={2: Target(480, 480)})
    created = datetime(2025, 6, 13, 9, 0, tzinfo=UTC)
    clock = fold(policy, (Fact(created, "open", 2), Fact(datetime.fromisoformat(at), "closed")))
    assert clock.resolution_due_at == datetime(2025, 6, 13, 17, 0, tzinfo=UTC)
    assert (clock.response_met, clock.resolution_met) == (met, met)
    assert clock.resolution_spent == 480 * 60  # spent to the brim either way: the due moment decides


def test_without_a_target_there_is_never_a_result() -> None:
    clock = story(f(9000, responded=True), f(9001, "closed"), priority=4)
    assert (clock.response_met, clock.resolution_met) == (None, None)
    assert (clock.response_due_at, clock.resolution_due_at) == (None, None)
    assert clock.response_spent == 9000 * 60
    assert clock.first_response_at == after(9000)
    assert seen(clock, after(99_999)).breached is False


def test_a_priority_the_policy_does_not_name_has_no_target() -> None:
    clock = start(replace(POLICY, targets={}), T0, 1, "new")
    assert (clock.response_due_at, clock.resolution_due_at) == (None, None)


def test_on_a_calendar_that_is_never_open_no_promise_is_broken() -> None:
    clock = story(f(99_999, "closed"), policy=replace(POLICY, calendar=Calendar("off")))
    assert (clock.response_met, clock.resolution_met, clock.resolution_due_at) == (True, True, None)


# --- Response --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["open", "in_progress", "waiting_on_customer", "resolved"])
def test_a_status_change_is_no_response(status: str) -> None:
    clock = story(f(10, status))
    assert (clock.response_completed_at, clock.first_response_at, clock.response_met) == (None, None, None)


def test_only_the_first_response_counts() -> None:
    clock = story(f(10, responded=True), f(70, responded=True))
    assert (clock.first_response_at, clock.response_spent) == (after(10), 600)


def test_the_response_clock_does_not_pause_while_waiting() -> None:
    clock = story(f(10, "waiting_on_customer"), f(70, responded=True))
    assert (clock.response_met, clock.response_spent) == (False, 70 * 60)
    assert clock.resolution_spent == 600


@pytest.mark.parametrize(("minutes", "met"), [(60, True), (61, False)])
def test_a_close_is_itself_the_response_if_there_was_none(minutes: int, met: bool) -> None:
    clock = story(f(minutes, "closed"))
    assert (clock.response_met, clock.resolution_met) == (met, True)
    assert clock.first_response_at is None
    assert clock.response_completed_at == after(minutes)


def test_a_response_and_close_in_one_is_a_response() -> None:
    clock = story(f(30, "closed", responded=True))
    assert clock.first_response_at == clock.response_completed_at == clock.resolution_completed_at == after(30)


def test_an_automatic_close_days_after_the_resolve_does_not_miss_the_response() -> None:
    clock = story(f(30, "resolved"), f(30 + 7 * 1440, "closed"))
    assert (clock.response_met, clock.response_spent) == (True, 30 * 60)
    assert clock.response_completed_at == after(30 + 7 * 1440)
    assert clock.resolution_completed_at == after(30)


def test_a_response_missed_before_the_resolve_stays_missed_at_the_close() -> None:
    clock = story(f(61, "resolved"), f(9000, "closed"))
    assert (clock.response_met, clock.response_due_at, clock.response_spent) == (False, after(60), 61 * 60)


def test_while_resolved_an_undecided_response_does_not_approach() -> None:
    clock = story(f(30, "resolved"))
    assert clock.response_due_at is None
    assert seen(clock, after(9000)).response_met is None


def test_reopened_from_resolved_an_undecided_response_goes_on() -> None:
    clock = story(f(30, "resolved"), f(1000, "reopened"))
    assert clock.response_due_at == after(1030)
    assert advance(POLICY, clock, after(1031), responded=True).response_met is False


def test_a_response_while_resolved_is_one() -> None:
    clock = story(f(30, "resolved"), f(400, responded=True))
    assert (clock.first_response_at, clock.response_met, clock.response_spent) == (after(400), True, 1800)


def test_the_response_stays_as_it_was_after_reopening() -> None:
    clock = story(f(61, "closed"), f(100, "reopened"), f(110, responded=True))
    assert (clock.response_met, clock.first_response_at, clock.response_completed_at) == (False, None, after(61))


# --- Resolution and pauses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "third_party", "pauses"),
    [
        ("waiting_on_customer", False, True),
        ("waiting_on_customer", True, True),
        ("waiting_on_third_party", False, False),
        ("waiting_on_third_party", True, True),
        ("in_progress", True, False),
    ],
)
def test_what_pauses_the_resolution(status: str, third_party: bool, pauses: bool) -> None:
    policy = replace(POLICY, pause_on_third_party=third_party)
    clock = story(f(30, status), f(130), policy=policy)
    assert clock.paused is pauses
    assert clock.resolution_spent == (30 if pauses else 130) * 60
    assert clock.resolution_due_at == (None if pauses else after(120))
    assert seen(clock, after(9000)).resolution_met is (None if pauses else False)


def test_leaving_a_pause_moves_the_due_moment_by_the_pause() -> None:
    clock = story(f(30, "waiting_on_customer"), f(530, "open"))
    assert (clock.resolution_due_at, clock.paused) == (after(620), False)


def test_from_one_pause_into_another_is_one_pause() -> None:
    policy = replace(POLICY, pause_on_third_party=True)
    clock = story(f(30, "waiting_on_customer"), f(80, "waiting_on_third_party"), f(90, "open"), policy=policy)
    assert clock.resolution_due_at == after(180)


def test_a_ticket_may_be_created_waiting() -> None:
    clock = story(f(500, "open"), status="waiting_on_customer")
    assert clock.resolution_due_at == after(620)


def test_a_pause_at_the_due_moment_comes_in_time_and_leaves_nothing() -> None:
    clock = story(f(120, "waiting_on_customer"))
    assert (clock.resolution_met, clock.resolution_due_at) == (None, None)
    again = advance(POLICY, clock, after(500), status="open")
    assert again.resolution_due_at == after(500)
    assert advance(POLICY, again, after(500), status="closed").resolution_met is True
    assert advance(POLICY, again, after(501), status="closed").resolution_met is False


def test_one_change_that_does_several_things_counts_the_time_before_it_first() -> None:
    clock = story(f(110, "waiting_on_customer", priority=3, responded=True))
    assert (clock.resolution_spent, clock.response_spent, clock.paused) == (110 * 60, 110 * 60, True)
    assert (clock.response_met, clock.response_due_at) == (True, after(120))  # by the new priority's target
    resolved = story(f(121, "resolved", responded=True))
    assert (resolved.resolution_met, resolved.resolution_spent) == (False, 121 * 60)


def test_closing_while_paused_is_in_time_if_the_pause_was() -> None:
    clock = story(f(100, "waiting_on_customer"), f(5000, "closed"))
    assert (clock.resolution_met, clock.resolution_spent) == (True, 6000)
    assert clock.resolution_due_at == after(5020)  # where it would have been, had it gone on


def test_pauses_outside_opening_hours_cost_and_gain_nothing() -> None:
    policy = replace(POLICY, calendar=OFFICE, targets={2: Target(None, 960)})
    plain = story(policy=policy)
    night = story(f(9 * 60, "waiting_on_customer"), f(20 * 60, "open"), policy=policy)
    assert night.resolution_due_at == plain.resolution_due_at == T0 + timedelta(days=1, hours=8)


def test_the_first_resolve_of_the_cycle_decides() -> None:
    clock = story(f(100, "resolved"), f(5000, "open"), f(9000, "resolved"), f(9500, "closed"))
    assert (clock.resolution_met, clock.resolution_completed_at) == (True, after(100))
    assert (clock.resolution_spent, clock.cycle) == (6000, 1)


def test_waiting_again_after_a_resolve_pauses_nothing() -> None:
    clock = story(f(100, "resolved"), f(200, "waiting_on_customer"))
    assert (clock.paused, clock.resolution_met, clock.resolution_due_at) == (False, True, after(120))


def test_every_clock_stops_on_resolve() -> None:
    clock = story(f(30, "resolved"))
    much_later = advance(POLICY, clock, after(99_999))
    assert (much_later.response_spent, much_later.resolution_spent) == (1800, 1800)
    assert seen(clock, after(99_999)).breached is False


# --- Closed and reopened ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact", [f(500), f(500, "open"), f(500, priority=1), f(500, responded=True), f(500, "closed", 1, True)]
)
def test_a_closed_clock_never_changes_but_by_reopening(fact: Fact) -> None:
    closed = story(f(30, "closed"))
    assert story(f(30, "closed"), fact) == closed


def test_reopening_right_after_a_close_raises_no_alarm() -> None:
    clock = story(f(100, responded=True), f(110, "closed"), f(5000, "reopened"))
    now = seen(clock, after(5000))
    assert (clock.cycle, clock.resolution_met, now.resolution_met) == (2, None, None)
    assert clock.resolution_due_at == after(5010)  # ten minutes were left
    assert seen(clock, after(5010)).resolution_met is None


def test_reopening_what_was_missed_shows_it_missed_at_the_old_moment() -> None:
    clock = story(f(130, "closed"), f(5000, "reopened"), f(5001, "closed"))
    assert (clock.cycle, clock.resolution_met, clock.resolution_due_at) == (2, False, after(120))


def test_the_resolution_clock_goes_on_over_several_cycles() -> None:
    clock = story(f(40, "closed"), f(500, "reopened"), f(540, "resolved"), f(900, "reopened"), f(930, "open"))
    assert (clock.cycle, clock.resolution_spent) == (3, 110 * 60)
    assert clock.resolution_due_at == after(940)


def test_reopened_without_a_resolve_before_is_no_new_cycle() -> None:
    assert story(f(40, "reopened")).cycle == 1
    assert story(f(40, "closed"), f(50, "reopened"), f(60, "reopened")).cycle == 2


# --- Priority --------------------------------------------------------------------------------------------


def test_a_new_priority_counts_from_creation_with_pauses_kept() -> None:
    clock = story(f(10, "waiting_on_customer"), f(110, "open"), f(115, priority=3))
    assert clock.response_due_at == after(120)
    assert clock.resolution_due_at == after(100 + 240)


def test_raising_the_priority_may_miss_at_once() -> None:
    clock = story(f(50, priority=1))
    assert (clock.response_met, clock.response_due_at) == (False, after(50))
    assert (clock.resolution_met, clock.resolution_due_at) == (None, after(60))


def test_a_new_target_that_is_just_used_up_is_still_in_time() -> None:
    clock = story(f(30, priority=1))
    assert (clock.response_met, clock.response_due_at) == (None, after(30))
    assert advance(POLICY, clock, after(30), responded=True).response_met is True
    assert seen(clock, after(31)).response_met is False


def test_lowering_the_priority_may_unmiss_an_open_promise() -> None:
    clock = story(f(90), f(100, priority=3))
    assert (clock.response_met, clock.response_due_at) == (None, after(120))


def test_lowering_it_too_little_leaves_the_missed_moment() -> None:
    clock = story(f(35, responded=False), f(130, priority=3), priority=1)
    assert (clock.response_met, clock.response_due_at) == (False, after(30))
    assert (clock.resolution_met, clock.resolution_due_at) == (None, after(240))


def test_a_completed_result_is_not_weighed_again() -> None:
    clock = story(f(50, responded=True), f(55, priority=1))
    assert (clock.response_met, clock.response_due_at) == (True, after(60))
    resolved = story(f(100, "resolved"), f(110, priority=1))
    assert (resolved.resolution_met, resolved.resolution_due_at) == (True, after(120))


def test_a_priority_changed_while_resolved_holds_from_reopening() -> None:
    clock = story(f(100, "resolved"), f(110, priority=1), f(200, "reopened"))
    assert (clock.resolution_met, clock.resolution_due_at) == (False, after(200))


def test_the_same_priority_again_is_no_change() -> None:
    clock = story(f(61, priority=2))
    assert (clock.response_met, clock.response_due_at) == (False, after(60))


def test_a_paused_clock_under_a_new_priority_stays_paused() -> None:
    clock = story(f(70, "waiting_on_customer"), f(80, priority=3))
    assert (clock.resolution_met, clock.resolution_due_at, clock.paused) == (None, None, True)
    over = story(f(70, "waiting_on_customer"), f(80, priority=1))
    assert (over.resolution_met, over.resolution_due_at, over.paused) == (False, after(80), True)


def test_priority_and_close_in_one_is_judged_by_the_new_targets() -> None:
    assert story(f(100, "closed", priority=1)).resolution_met is False
    assert story(f(150, "closed", priority=3)).resolution_met is True


def test_a_priority_without_a_target_takes_the_promise_back() -> None:
    clock = story(f(500, priority=4))
    assert (clock.response_met, clock.response_due_at, clock.resolution_met) == (None, None, None)


# --- Skewed clocks ---------------------------------------------------------------------------------------


def test_time_does_not_run_backwards() -> None:
    clock = story(f(50), f(20, "resolved"))
    assert clock.since == clock.resolution_completed_at == after(50)
    assert clock.resolution_spent == 3000
