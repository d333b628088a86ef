"""What a ticket's clock has to tell, and when: a warning at four fifths of a target, a breach when it is missed.

Each is told once per target and cycle. A change of the ticket first tells what was due before it, so that nothing is
forgotten while no worker runs, and nothing is told for a ticket that was paused or at rest by then.
"""

from datetime import datetime, timedelta
from enum import IntFlag
from typing import Literal, NamedTuple

from ticketry.sla.models import Clock, Policy
from ticketry.sla.rules import warning_moments

SECOND = timedelta(seconds=1)
Target = Literal["response", "resolution"]
Kind = Literal["warning", "breach"]


class Told(IntFlag):
    """What a ticket's clock has told in the present cycle."""

    NOTHING = 0
    RESPONSE_WARNING = 1
    RESPONSE_BREACH = 2
    RESOLUTION_WARNING = 4
    RESOLUTION_BREACH = 8


class Alarm(NamedTuple):
    """One thing to tell: of which promise, and the moment it became true."""

    told: Told
    target: Target
    kind: Kind
    at: datetime


def pending(policy: Policy, clock: Clock, told: Told) -> list[Alarm]:
    """All that this clock will tell if nothing happens to the ticket, in order of time."""
    warnings = warning_moments(policy, clock)
    moments: list[tuple[Told, Target, Kind, datetime | None]] = [
        (Told.RESPONSE_WARNING, "response", "warning", warnings[0]),
        (Told.RESPONSE_BREACH, "response", "breach", _breach(clock.response_met, clock.response_due_at)),
        (Told.RESOLUTION_WARNING, "resolution", "warning", warnings[1]),
        (Told.RESOLUTION_BREACH, "resolution", "breach", _breach(clock.resolution_met, clock.resolution_due_at)),
    ]
    ahead = [Alarm(bit, target, kind, at) for bit, target, kind, at in moments if at is not None and not bit & told]
    return sorted(ahead, key=lambda alarm: alarm.at)


def _breach(met: bool | None, due: datetime | None) -> datetime | None:
    """When a promise is broken: in the second after its due moment, or at once if it is decided so."""
    if due is None or met is True:
        return None
    return due if met is False else due + SECOND


def due(policy: Policy, clock: Clock, told: Told, at: datetime) -> list[Alarm]:
    """What is to be told by `at`."""
    return [alarm for alarm in pending(policy, clock, told) if alarm.at <= at]


def next_alarm(policy: Policy, clock: Clock, told: Told) -> datetime | None:
    """When the clock next has something to tell; None if it has not, as things stand."""
    waiting = pending(policy, clock, told)
    return waiting[0].at if waiting else None


def after_reopening(clock: Clock, told: Told) -> Told:
    """What counts as told in a new cycle: its resolution is told anew, unless it is missed already."""
    if clock.resolution_met is False:
        return told
    return told & ~(Told.RESOLUTION_WARNING | Told.RESOLUTION_BREACH)
