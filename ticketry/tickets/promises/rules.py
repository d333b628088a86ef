"""What a timer tells, comparing clocks, and what an escalation asks of a ticket."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from ticketry.sla import alarms
from ticketry.sla import rules as sla
from ticketry.sla.alarms import Told
from ticketry.sla.models import CLOSED, Clock, Fact, Policy
from ticketry.sla.policies.models import Escalation, StoredPolicy
from ticketry.tickets import rules
from ticketry.tickets.models import Ticket
from ticketry.tickets.promises.models import Closing

_FINAL = {
    "response_met": "response_met",
    "resolution_met": "resolution_met",
    "response_due_at": "response_due_at",
    "resolution_due_at": "resolution_due_at",
    "first_response_at": "first_response_at",
    "resolved_at": "resolution_completed_at",
    "closed_at": "since",
}
"""What a close stores for good, and where the clock has it."""


@dataclass(frozen=True, slots=True)
class Story:
    """A ticket, all that its clock is computed from, and what its closes have stored."""

    ticket: Ticket
    policy: Policy
    facts: list[Fact]
    closings: list[Closing]
    earlier: list[Policy]
    """The policies that held at its closes."""


def rung(ticket: Ticket, policy: Policy, at: datetime) -> tuple[Ticket, Told]:
    """The ticket once its alarm has rung, and what its escalations are to be looked at for."""
    told = Told(ticket.alarms)
    due = alarms.due(policy, rules.clock_of(ticket), told, at)
    new = rules.change(ticket, policy, at) if due else replace(ticket, version=ticket.version + 1)
    told = Told(new.alarms)
    return replace(new, **rules.alarm_columns(policy, rules.clock_of(new), told.told)), told.owed


def moved(story: Story, wanted: StoredPolicy, at: datetime) -> Ticket:
    """The ticket under another policy version, with the clock that its history gives under it. Closes stay final."""
    ticket, facts = story.ticket, [*story.facts, Fact(at)]
    clock = sla.fold(wanted.policy, facts, story.earlier)
    told = alarms.after_change(story.policy, rules.clock_of(ticket), clock, Told(ticket.alarms), at)
    columns = {**rules.clock_columns(clock), **rules.alarm_columns(wanted.policy, clock, told)}
    return replace(
        ticket,
        version=ticket.version + 1,
        updated_at=at,
        sla_policy_id=wanted.id,
        sla_policy_version=wanted.version,
        **columns,
    )


def breached(ticket: Ticket, at: datetime) -> bool:
    """Whether the ticket shows as in breach at an instant."""
    return sla.seen(rules.clock_of(ticket), at).breached


def differences(story: Story) -> Iterator[str]:
    """Where the stored results and those replayed from the events disagree, in words."""
    ticket, number = story.ticket, rules.label(story.ticket.number)
    clocks = list(sla.walk(story.policy, story.facts, story.earlier))
    stored, replayed = rules.clock_of(ticket), clocks[-1]
    names = {field.name: field.name for field in fields(Clock)}
    yield from (f"{number} {text}" for text in _unequal(stored, replayed, names))
    timer = rules.alarm_columns(story.policy, replayed, Told(ticket.alarms))["next_alarm_at"]
    if timer != ticket.next_alarm_at:
        yield f"{number} next_alarm_at: stored {ticket.next_alarm_at}, replayed {timer}"
    finals = _finals(clocks)
    if [closing.cycle for closing in story.closings] != [clock.cycle for clock in finals]:
        yield f"{number} resolutions: stored {len(story.closings)}, replayed {len(finals)}"
    for closing, clock in zip(story.closings, finals, strict=False):
        yield from (f"{number} cycle {closing.cycle} {text}" for text in _unequal(closing, clock, _FINAL))


def _finals(clocks: Sequence[Clock]) -> list[Clock]:
    """The clock after each close."""
    before = [None, *clocks]
    pairs = zip(before, clocks, strict=False)
    return [now for last, now in pairs if now.status == CLOSED and (last is None or last.status != CLOSED)]


def _unequal(stored: Any, replayed: Any, names: dict[str, str]) -> Iterator[str]:
    for name, other in names.items():
        before, after = getattr(stored, name), getattr(replayed, other)
        if before != after:
            yield f"{name}: stored {before}, replayed {after}"


def wanted(ticket: Ticket, escalation: Escalation) -> dict[str, Any]:
    """The change of the ticket that an escalation asks for."""
    change: dict[str, Any] = {}
    if escalation.raise_priority and ticket.priority > 1:
        change["priority"] = ticket.priority - 1
    if escalation.assign_to not in {None, ticket.assigned_to}:
        change["assigned_to"] = escalation.assign_to
    if escalation.add_tag is not None and escalation.add_tag not in ticket.tags and len(ticket.tags) < 50:
        change["tags"] = [*ticket.tags, escalation.add_tag]
    if escalation.note is not None:
        change["internal_note"] = escalation.note
    return change
