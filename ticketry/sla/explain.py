"""Why a clock stands where it stands: every stretch of a ticket's life, what it counted for, and why.

The stretches come from the same fold as the stored clock, and the open hours from the same spans, so the sums
agree to the second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ticketry.sla.business_time import CLOSED_DAY, CLOSED_HOURS, OPEN_HOURS, PUBLIC_HOLIDAY, from_epoch, pieces
from ticketry.sla.models import AT_REST, CLOSED, RESOLVED, Clock, Fact, Policy, Target
from ticketry.sla.rules import begin, in_force, runs, step, whole_utc

PAUSED = "paused"
COMPLETED = "completed"
NAMES = ("response", "resolution")


@dataclass(frozen=True, slots=True)
class Promise:
    """How one promise stands. `target_seconds` is the target it is, or was, judged by."""

    target_seconds: int | None
    due_at: datetime | None
    completed_at: datetime | None
    elapsed_seconds: int
    met: bool | None

    @property
    def remaining_seconds(self) -> int | None:
        if self.target_seconds is None or self.completed_at is not None:
            return None
        return max(0, self.target_seconds - self.elapsed_seconds)


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch in which nothing changed. `detail`: the status that paused, or the calendar's own comment."""

    start: datetime
    end: datetime
    counts_for: tuple[str, ...]
    reason: str
    detail: str | None = None

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())


@dataclass(frozen=True, slots=True)
class Cycle:
    """One way to a resolution, and the rest after it. Elapsed seconds go on from the cycle before."""

    cycle: int
    policy: Policy
    response: Promise
    resolution: Promise
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    policy: Policy
    at: datetime
    cycles: tuple[Cycle, ...]


def explain(policy: Policy, facts: Sequence[Fact], at: datetime, earlier: Sequence[Policy] = ()) -> Explanation:
    """The ticket's life as it stood at an instant; facts after it are left out. `earlier`: see `in_force`."""
    at = whole_utc(at)
    known = [fact for fact in facts if whole_utc(fact.at) <= at]
    return Explanation(policy, at, tuple(_cycles(policy, known, at, earlier)) if known else ())


def _cycles(policy: Policy, facts: Sequence[Fact], at: datetime, earlier: Sequence[Policy]) -> Iterator[Cycle]:
    told = (*facts, Fact(at))
    steps = zip(told, in_force(policy, told, earlier), strict=True)
    first, held = next(steps)
    clock, intervals = begin(held, first), list[Interval]()
    target = held.target(clock.priority)
    for fact, now_held in steps:
        moved = step(now_held, clock, fact)
        intervals.extend(_intervals(held, clock, moved.since))
        if moved.cycle != clock.cycle:
            yield _cycle(step(held, clock, Fact(fact.at)), held, target, intervals)
            intervals = []
        target = _judged_by(target, clock, moved, now_held.target(moved.priority))
        clock, held = moved, now_held
    yield _cycle(clock, held, target, intervals)


def _judged_by(target: Target, before: Clock, after: Clock, now: Target) -> Target:
    """The targets in force: a promise completed earlier keeps the one it was completed under."""
    done = before.resolution_completed_at
    return Target(
        now.response if before.response_completed_at is None else target.response,
        now.resolution if done is None or done != after.resolution_completed_at else target.resolution,
    )


def _cycle(clock: Clock, policy: Policy, target: Target, intervals: list[Interval]) -> Cycle:
    response = Promise(
        _seconds(target.response),
        clock.response_due_at,
        clock.response_completed_at,
        clock.response_spent,
        clock.response_met,
    )
    resolution = Promise(
        _seconds(target.resolution),
        clock.resolution_due_at,
        clock.resolution_completed_at,
        clock.resolution_spent,
        clock.resolution_met,
    )
    return Cycle(clock.cycle, policy, response, resolution, tuple(intervals))


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60


def _intervals(policy: Policy, clock: Clock, end: datetime) -> Iterator[Interval]:
    if end <= clock.since:
        return
    counts_for = tuple(name for name, going in zip(NAMES, runs(policy, clock), strict=True) if going)
    reason, detail = _standing(policy, clock)
    if not counts_for:
        yield Interval(clock.since, end, (), reason, detail)
        return
    for piece in pieces(policy.calendar, clock.since, end):
        start, stop = from_epoch(piece.start), from_epoch(piece.end)
        if piece.reason == OPEN_HOURS:
            yield Interval(start, stop, counts_for, reason, detail)
        else:
            yield Interval(start, stop, (), piece.reason, piece.detail)


def _standing(policy: Policy, clock: Clock) -> tuple[str, str | None]:
    """Why open time counts for the resolution, or does not."""
    if clock.status in AT_REST:
        return clock.status, None
    if clock.resolution_completed_at is not None:
        return COMPLETED, None
    return (PAUSED, clock.status) if policy.pauses_in(clock.status) else (OPEN_HOURS, None)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The shape the API publishes."""
    policy = explanation.policy
    return {
        "policy_id": policy.id,
        "policy_version": policy.version,
        "policy_name": policy.name,
        "calendar": {
            "opening_hours": policy.calendar.opening_hours,
            "time_zone": policy.calendar.time_zone,
            "country": policy.calendar.country,
            "closed_days": [day.isoformat() for day in policy.calendar.closed_days],
        },
        "at": _stamp(explanation.at),
        "cycles": [_cycle_json(cycle) for cycle in explanation.cycles],
    }


def _cycle_json(cycle: Cycle) -> dict[str, Any]:
    return {
        "cycle": cycle.cycle,
        "policy_id": cycle.policy.id,
        "policy_version": cycle.policy.version,
        "response": _promise_json(cycle.response),
        "resolution": _promise_json(cycle.resolution),
        "intervals": [_interval_json(interval) for interval in cycle.intervals],
    }


def _promise_json(promise: Promise) -> dict[str, Any]:
    return {
        "target_seconds": promise.target_seconds,
        "due_at": _stamp(promise.due_at),
        "completed_at": _stamp(promise.completed_at),
        "elapsed_seconds": promise.elapsed_seconds,
        "remaining_seconds": promise.remaining_seconds,
        "met": promise.met,
    }


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {
        "from": _stamp(interval.start),
        "to": _stamp(interval.end),
        "seconds": interval.seconds,
        "counts_for": list(interval.counts_for),
        "reason": interval.reason,
        "detail": interval.detail,
    }


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


WORDS = {
    OPEN_HOURS: "open hours",
    CLOSED_HOURS: "outside opening hours",
    PUBLIC_HOLIDAY: "public holiday",
    CLOSED_DAY: "closed day of this calendar",
    PAUSED: "resolution paused",
    COMPLETED: "resolved earlier in this cycle",
    RESOLVED: "ticket resolved",
    CLOSED: "ticket closed",
}


def as_text(explanation: Explanation) -> str:
    """The same for people, in the calendar's own local time."""
    policy, calendar = explanation.policy, explanation.policy.calendar
    zone = ZoneInfo(calendar.time_zone)
    holidays = f", holidays of {calendar.country}" if calendar.country else ""
    hours = f"{calendar.opening_hours}, {calendar.time_zone}{holidays}"
    lines = [
        f"Policy {policy.name}, version {policy.version}: {hours}",
        f"As of {_local(explanation.at, zone)}",
    ]
    for cycle in explanation.cycles:
        kept = "" if cycle.policy == policy else f", judged by {cycle.policy.name}, version {cycle.policy.version}"
        lines += ["", f"Cycle {cycle.cycle}{kept}"]
        lines += [f"  Response:   {_promise_text(cycle.response, zone)}"]
        lines += [f"  Resolution: {_promise_text(cycle.resolution, zone)}"]
        lines += [f"  {_interval_text(interval, zone)}" for interval in cycle.intervals]
    return "\n".join(lines) + "\n"


def _promise_text(promise: Promise, zone: ZoneInfo) -> str:
    if promise.target_seconds is None:
        return f"no target, {duration(promise.elapsed_seconds)} spent"
    word = {True: "met", False: "missed", None: "in time so far"}[promise.met]
    text = f"{word}, {duration(promise.elapsed_seconds)} of {duration(promise.target_seconds)} spent"
    text += f", due {_local(promise.due_at, zone)}" if promise.due_at else ""
    return text + (f", completed {_local(promise.completed_at, zone)}" if promise.completed_at else "")


def _interval_text(interval: Interval, zone: ZoneInfo) -> str:
    counted = " and ".join(interval.counts_for) or "nothing"
    why = WORDS.get(interval.reason, interval.reason) + (f" ({interval.detail})" if interval.detail else "")
    span = f"{_local(interval.start, zone)} to {_local(interval.end, zone)}"
    return f"{span}  {duration(interval.seconds):>13}  counts for {counted}: {why}"


def duration(seconds: int) -> str:
    """Hours, minutes and seconds, the small ones only where there are any: `26 h 5 min`."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts) or "0 s"


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %z")
