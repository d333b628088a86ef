"""Comparing clocks, and what an escalation asks of a ticket."""

from dataclasses import replace
from typing import Any

from ticketry.sla.alarms import Told
from ticketry.sla.models import Clock
from ticketry.sla.policies.models import Escalation, StoredPolicy
from ticketry.tickets import rules
from ticketry.tickets.models import Ticket

COMPARED = (
    "response_spent",
    "resolution_spent",
    "response_due_at",
    "resolution_due_at",
    "first_response_at",
    "response_met",
    "resolution_met",
)
FINAL = ("response_met", "resolution_met", "response_due_at", "resolution_due_at", "first_response_at")


def differences(stored: Any, replayed: Clock, names: tuple[str, ...]) -> list[str]:
    """Where a stored result and the replayed one disagree, in words."""
    return [
        f"{name}: stored {before}, replayed {after}"
        for name in names
        if (before := getattr(stored, name)) != (after := getattr(replayed, name))
    ]


def moved(ticket: Ticket, stored: StoredPolicy, clock: Clock) -> Ticket:
    """The ticket under another policy version, with the clock that its history gives under it.

    A breach that is none any more counts as never told; a new one is told by the next timer.
    """
    told = Told(ticket.alarms)
    if clock.response_met is not False:
        told &= ~Told.RESPONSE_BREACH
    if clock.resolution_met is not False:
        told &= ~Told.RESOLUTION_BREACH
    columns = {**rules.clock_columns(clock), **rules.alarm_columns(stored.policy, clock, told)}
    return replace(ticket, sla_policy_id=stored.id, sla_policy_version=stored.version, **columns)


def wanted(ticket: Ticket, escalation: Escalation) -> dict[str, Any]:
    """The change of the ticket that an escalation asks for."""
    change: dict[str, Any] = {}
    if escalation.raise_priority and ticket.priority > 1:
        change["priority"] = ticket.priority - 1
    if escalation.assign_to is not None:
        change["assigned_to"] = escalation.assign_to
    if escalation.add_tag is not None and escalation.add_tag not in ticket.tags and len(ticket.tags) < 50:
        change["tags"] = [*ticket.tags, escalation.add_tag]
    if escalation.note is not None:
        change["internal_note"] = escalation.note
    return change
