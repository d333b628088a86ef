"""The one rule of a ticket's clock: how each fact moves it on.

The stored clock is the fold of `advance` over a ticket's facts; a replay is the same fold from the start.

Both promises (response, resolution) are kept by a timer, and both timers obey one rule: a timer counts open
seconds while it runs, is missed when an instant later than its due moment comes while it runs, and is judged
for good when it is completed. The due moment is the first instant by which the target is used up; to be there
exactly is in time. A completed result never changes; one decided by a passed due moment only is weighed again
when the target changes.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ticketry.sla.business_time import instant_after, seconds_between
from ticketry.sla.models import AT_REST, CLOSED, NEW, REOPENED, Calendar, Clock, Fact, Policy, Seen, Stands

DEFAULT_PRIORITY = 3
WARN_AT_PERCENT = 80


class Timer(NamedTuple):
    """One promise: open seconds spent, the due moment, the result once decided, the instant of completion."""

    spent: int = 0
    due: datetime | None = None
    met: bool | None = None
    done: datetime | None = None


class Change(NamedTuple):
    """A fact with its gaps filled in: how the ticket stands from an instant on."""

    at: datetime
    status: str
    priority: int
    responded: bool = False


class Step(NamedTuple):
    """What a timer is to do from an instant on: keep which target, run or not, or be completed."""

    calendar: Calendar
    at: datetime
    minutes: int | None
    runs: bool
    completes: bool


def start(policy: Policy, at: datetime, priority: int, status: str) -> Clock:
    """The clock of a ticket just created."""
    return _landed(policy, Change(whole_utc(at), status, priority), 1, None, (Timer(), Timer()))


def advance(
    policy: Policy,
    clock: Clock,
    at: datetime,
    *,
    status: str | None = None,
    priority: int | None = None,
    responded: bool = False,
) -> Clock:
    """The clock after a fact. Time up to it counts under the old status, whatever the fact changes.

    An instant before the last fact is taken as that fact's: a skewed machine must not turn time back.
    """
    if clock.status == CLOSED and status != REOPENED:
        return clock
    to = Change(
        max(whole_utc(at), clock.since),
        clock.status if status is None else status,
        clock.priority if priority is None else priority,
        responded,
    )
    reopens = status == REOPENED and clock.resolution_completed_at is not None
    timers = _retargeted(policy, clock, to, reopens, _counted(policy, clock, to.at))
    return _landed(policy, to, clock.cycle + reopens, clock.first_response_at, timers)


def begin(policy: Policy, fact: Fact) -> Clock:
    """The clock after a ticket's first fact, its creation."""
    priority = DEFAULT_PRIORITY if fact.priority is None else fact.priority
    clock = start(policy, fact.at, priority, NEW if fact.status is None else fact.status)
    return advance(policy, clock, fact.at, responded=True) if fact.responded else clock


def step(policy: Policy, clock: Clock, fact: Fact) -> Clock:
    """`advance` by a fact."""
    return advance(policy, clock, fact.at, status=fact.status, priority=fact.priority, responded=fact.responded)


def fold(policy: Policy, facts: Sequence[Fact], earlier: Sequence[Policy] = ()) -> Clock:
    """The clock of a ticket from its whole history in order, its creation first. `earlier`: see `in_force`."""
    *_, clock = walk(policy, facts, earlier)
    return clock


def walk(policy: Policy, facts: Sequence[Fact], earlier: Sequence[Policy] = ()) -> Iterator[Clock]:
    """The clock after each fact."""
    steps = zip(facts, in_force(policy, facts, earlier), strict=True)
    first, held = next(steps)
    yield (clock := begin(held, first))
    for fact, held in steps:
        yield (clock := step(held, clock, fact))


def in_force(policy: Policy, facts: Sequence[Fact], earlier: Sequence[Policy]) -> Iterator[Policy]:
    """The policy that each fact is judged by: what is closed is final, whatever policy the ticket is given later.

    `earlier` are the policies that held at the ticket's closes so far, in order; `policy` is the one it has now.
    """
    closes, closed = 0, False
    for fact in facts:
        if closed and fact.status == REOPENED:
            closes, closed = closes + 1, False
        elif fact.status == CLOSED:
            closed = True
        yield earlier[closes] if closes < len(earlier) else policy


def seen(clock: Stands, at: datetime) -> Seen:
    """What a reader sees: a promise whose due moment has passed is broken, stored so or not yet."""
    response = False if _passed(clock.response_met, clock.response_due_at, at) else clock.response_met
    resolution = False if _passed(clock.resolution_met, clock.resolution_due_at, at) else clock.resolution_met
    return Seen(response, resolution, response is False or resolution is False, clock.paused)


def runs(policy: Policy, clock: Clock) -> tuple[bool, bool]:
    """Whether open time counts for the response and for the resolution, as things stand."""
    awake = clock.status not in AT_REST
    response = awake and clock.response_completed_at is None
    resolution = awake and clock.resolution_completed_at is None and not policy.pauses_in(clock.status)
    return response, resolution


def warning_moments(policy: Policy, clock: Clock) -> tuple[datetime | None, datetime | None]:
    """When response and resolution will have spent four fifths of their target, if nothing happens till then.

    None where nothing is approaching, and where that moment was no later than the clock's last fact: ask
    before advancing, not after.
    """
    target, going, timers = policy.target(clock.priority), runs(policy, clock), _timers(clock)
    return (
        _warning(policy, clock, timers[0], target.response if going[0] else None),
        _warning(policy, clock, timers[1], target.resolution if going[1] else None),
    )


def _warning(policy: Policy, clock: Clock, timer: Timer, minutes: int | None) -> datetime | None:
    if minutes is None or timer.met is not None:
        return None
    rest = minutes * 60 * WARN_AT_PERCENT // 100 - timer.spent
    return instant_after(policy.calendar, clock.since, rest) if rest > 0 else None


def whole_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("an instant must carry its offset")
    return at.astimezone(UTC).replace(microsecond=0)


def _timers(clock: Clock) -> tuple[Timer, Timer]:
    return (
        Timer(clock.response_spent, clock.response_due_at, clock.response_met, clock.response_completed_at),
        Timer(
            clock.resolution_spent,
            clock.resolution_due_at,
            clock.resolution_met,
            clock.resolution_completed_at,
        ),
    )


def _counted(policy: Policy, clock: Clock, at: datetime) -> tuple[Timer, Timer]:
    """Both timers brought up to an instant."""
    (response, resolution), going = _timers(clock), runs(policy, clock)
    seconds = seconds_between(policy.calendar, clock.since, at) if any(going) else 0
    return (
        _ran(response, seconds, at) if going[0] else response,
        _ran(resolution, seconds, at) if going[1] else resolution,
    )


def _ran(timer: Timer, seconds: int, at: datetime) -> Timer:
    met = False if _passed(timer.met, timer.due, at) else timer.met
    return Timer(timer.spent + seconds, timer.due, met, timer.done)


def _passed(met: bool | None, due: datetime | None, at: datetime) -> bool:
    return met is None and due is not None and at > due


def _retargeted(
    policy: Policy, clock: Clock, to: Change, reopens: bool, timers: tuple[Timer, Timer]
) -> tuple[Timer, Timer]:
    """Both timers under the new priority's targets; reopening takes up the resolution where it stood."""
    old, new = policy.target(clock.priority), policy.target(to.priority)
    response, resolution = timers
    if old.response != new.response:
        response = _reweighed(response, to.at, new.response)
    if reopens:
        resolution = resolution._replace(done=None)
    if reopens or old.resolution != new.resolution:
        resolution = _reweighed(resolution, to.at, new.resolution)
    return response, resolution


def _reweighed(timer: Timer, at: datetime, minutes: int | None) -> Timer:
    """A timer under a new target. Time spent stays; a target overspent already is missed here and now."""
    if timer.done is not None:
        return timer
    if minutes is None or timer.spent <= minutes * 60:
        return timer._replace(met=None, due=None)
    return timer._replace(met=False, due=timer.due if timer.met is False else at)


def _stepped(timer: Timer, to: Step) -> Timer:
    """A timer from an instant on. Completing one that stood still is judged as if it ran again there."""
    if timer.done is not None:
        return timer
    due = timer.due
    if due is None and to.minutes is not None and (to.runs or to.completes):
        due = instant_after(to.calendar, to.at, to.minutes * 60 - timer.spent)
    if to.completes:
        return Timer(timer.spent, due, None if to.minutes is None else timer.met is None, to.at)
    return Timer(timer.spent, due if to.runs or timer.met is False else None, timer.met)


def _landed(
    policy: Policy, to: Change, cycle: int, first_response: datetime | None, timers: tuple[Timer, Timer]
) -> Clock:
    """The clock once both timers have taken up, laid down or completed what the change asks of them."""
    target, rests, pauses = policy.target(to.priority), to.status in AT_REST, policy.pauses_in(to.status)
    responds = to.responded or to.status == CLOSED
    response = _stepped(timers[0], Step(policy.calendar, to.at, target.response, not rests, responds))
    resolution = _stepped(timers[1], Step(policy.calendar, to.at, target.resolution, not pauses, rests))
    return Clock(
        cycle=cycle,
        status=to.status,
        priority=to.priority,
        since=to.at,
        response_spent=response.spent,
        resolution_spent=resolution.spent,
        response_due_at=response.due,
        resolution_due_at=resolution.due,
        first_response_at=to.at if to.responded and timers[0].done is None else first_response,
        response_completed_at=response.done,
        resolution_completed_at=resolution.done,
        response_met=response.met,
        resolution_met=resolution.met,
        paused=pauses and resolution.done is None,
    )
