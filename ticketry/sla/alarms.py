"""What a ticket's clock has to tell, and when: a warning at four fifths of a target, a breach when it is missed.

Each is told once per target and cycle, of a promise that runs at that moment. A change of the ticket first tells what
was due before it, so that nothing is forgotten while no worker runs, and nothing is told of a ticket that was paused
or at rest by then. What was told is owed to the policy's escalations until a timer has looked at them.
"""

from datetime import datetime, timedelta
from enum import IntFlag
from typing import Literal, NamedTuple

from ticketry.sla.models import AT_REST, Clock, Policy
from ticketry.sla.rules import runs, warning_moments

SECOND = timedelta(seconds=1)
Target = Literal["response", "resolution"]
Kind = Literal["warning", "breach"]
_OWED = 4  # bits between what was told and the same as owed


class Told(IntFlag):
    """What a ticket's clock has told in the present cycle; four bits up, what of it is owed to escalations."""

    NOTHING = 0
    RESPONSE_WARNING = 1
    RESPONSE_BREACH = 2
    RESOLUTION_WARNING = 4
    RESOLUTION_BREACH = 8

    @property
    def told(self) -> "Told":
        """Without what is owed."""
        return Told(self & 15)

    @property
    def owed(self) -> "Told":
        """What escalations have not been looked at for."""
        return Told(self >> _OWED)

    def owing(self, more: "Told") -> "Told":
        """With `more` told and owed."""
        return Told(self | more | more << _OWED)


SUBJECTS: tuple[tuple[Told, Target, Kind], ...] = (
    (Told.RESPONSE_WARNING, "response", "warning"),
    (Told.RESOLUTION_WARNING, "resolution", "warning"),
    (Told.RESPONSE_BREACH, "response", "breach"),
    (Told.RESOLUTION_BREACH, "resolution", "breach"),
)
_RESOLUTION = Told.RESOLUTION_WARNING | Told.RESOLUTION_BREACH


class Alarm(NamedTuple):
    """One thing to tell: of which promise, and the moment it becomes true."""

    told: Told
    target: Target
    kind: Kind
    at: datetime


def pending(policy: Policy, clock: Clock, told: Told) -> list[Alarm]:
    """All that this clock will tell if nothing happens to the ticket, in order of time."""
    going = dict(zip(("response", "resolution"), runs(policy, clock), strict=True))
    moments = (
        *warning_moments(policy, clock),
        _breach(clock.response_met, clock.response_due_at),
        _breach(clock.resolution_met, clock.resolution_due_at),
    )
    ahead = [
        Alarm(bit, target, kind, at)
        for (bit, target, kind), at in zip(SUBJECTS, moments, strict=True)
        if at is not None and going[target] and not bit & told
    ]
    return sorted(ahead, key=lambda alarm: alarm.at)


def _breach(met: bool | None, due: datetime | None) -> datetime | None:
    """A promise is broken in the second after its due moment."""
    return None if due is None or met is True else due + SECOND


def due(policy: Policy, clock: Clock, told: Told, at: datetime) -> list[Alarm]:
    """What is to be told by `at`."""
    return [alarm for alarm in pending(policy, clock, told) if alarm.at <= at]


def after_change(policy: Policy, before: Clock, after: Clock, told: Told, at: datetime) -> Told:
    """What counts as told after a change: with what was due before it.

    A warning of this very second is told only if its promise still runs. Nothing is owed for a ticket at rest. In a new
    cycle the resolution is told anew, unless it was missed already.
    """
    if after.cycle > before.cycle:
        missed = before.resolution_met is False and after.resolution_met is False
        return told.told | _RESOLUTION if missed else told.told & ~_RESOLUTION
    going = dict(zip(("response", "resolution"), runs(policy, after), strict=True))
    for alarm in due(policy, before, told, at):
        if alarm.at < at or alarm.kind == "breach" or going[alarm.target]:
            told = told.owing(alarm.told)
    return told.told if after.status in AT_REST else told


def next_alarm(policy: Policy, clock: Clock, told: Told) -> datetime | None:
    """When the clock next has something to tell, or escalations are owed a look; None if never, as things stand."""
    if clock.status in AT_REST:
        return None
    if told.owed:
        return clock.since
    waiting = pending(policy, clock, told)
    return waiting[0].at if waiting else None
