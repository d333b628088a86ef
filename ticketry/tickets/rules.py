"""The life of a ticket: pure functions from a ticket to the next, each the one place where its rule stands."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from ticketry.core.errors import Conflict, ValidationFailed, field_error
from ticketry.events.models import EventType
from ticketry.sla import alarms
from ticketry.sla import rules as sla
from ticketry.sla.alarms import Told
from ticketry.sla.models import Clock, Policy
from ticketry.tickets.models import (
    PRIORITY_LABELS,
    CloseIn,
    CustomFields,
    Resolution,
    ResolutionActor,
    ResolutionSla,
    Status,
    Ticket,
)

ACTIVE: tuple[Status, ...] = ("open", "in_progress", "waiting_on_customer", "waiting_on_third_party")
ALWAYS_ALLOWED = frozenset({"tags", "custom_fields", "metadata", "internal_note"})
"""What a closed ticket still accepts."""

_NUMBER = re.compile(r"TICK-([1-9][0-9]{0,17})", re.ASCII | re.IGNORECASE)
_CUSTOM_FIELDS: TypeAdapter[dict[str, Any]] = TypeAdapter(CustomFields)
_CLOCK_FIELDS = (
    "response_spent",
    "resolution_spent",
    "response_due_at",
    "resolution_due_at",
    "first_response_at",
    "response_completed_at",
    "resolution_completed_at",
    "response_met",
    "resolution_met",
)
_HISTORY_FIELDS = (
    "subject", "description", "priority", "status", "category", "contact_id", "conversation_id", "assigned_to",
    "assigned_name", "due_date", "tags", "custom_fields", "metadata", "resolution_note", "customer_satisfaction",
    "satisfaction_source", "resolution_time", "root_cause", "reopen_count", "resolved_at", "closed_at", "sla_policy_id",
    "sla_policy_version", "follow_up_of", "duplicate_of",
)  # fmt: skip
_STATUS_FIELDS = (
    "status", "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time", "root_cause",
    "reopen_count", "resolved_at", "closed_at", "duplicate_of", "links",
)  # fmt: skip
_ALARM_EVENTS: dict[alarms.Kind, EventType] = {"warning": "ticket.sla_warning", "breach": "ticket.sla_breached"}
_STATUS_EVENTS: dict[Status, EventType] = {
    "resolved": "ticket.resolved",
    "closed": "ticket.closed",
    "reopened": "ticket.reopened",
}
_COLUMNS = tuple(
    f.name for f in fields(Ticket) if f.name not in {"workspace_id", "id", "number", "version", "assigned_name"}
)
_COLUMNS_OF, _HISTORY_OF = attrgetter(*_COLUMNS), attrgetter(*_HISTORY_FIELDS)


def allowed_from(status: Status) -> tuple[Status, ...]:
    """The states that a ticket in this state may move to."""
    if status == "closed":
        return ("reopened",)
    others = tuple(state for state in (*ACTIVE, "resolved", "closed") if state != status)
    return (*others, "reopened") if status == "resolved" else others


def check_transition(old: Status, new: Status) -> None:
    """Raises `invalid_transition` unless a ticket may go from `old` to `new`. To stay is no transition."""
    allowed = allowed_from(old)
    if new != old and new not in allowed:
        message = f"A ticket cannot go from {old} to {new}"
        raise Conflict("invalid_transition", message, **{"from": old, "to": new, "allowed": list(allowed)})


def clock_of(ticket: Ticket) -> Clock:
    """The ticket's SLA clock."""
    return Clock(
        cycle=ticket.reopen_count + 1,
        status=ticket.status,
        priority=ticket.priority,
        since=ticket.sla_since,
        paused=ticket.sla_paused,
        **{name: getattr(ticket, name) for name in _CLOCK_FIELDS},
    )


def clock_columns(clock: Clock) -> dict[str, Any]:
    """The clock as fields of its ticket."""
    return {
        "sla_since": clock.since,
        "sla_paused": clock.paused,
        **{name: getattr(clock, name) for name in _CLOCK_FIELDS},
    }


def moment(ticket: Ticket, now: datetime) -> datetime:
    """The instant of a change: never before the last one, however the clocks of two machines differ."""
    return max(now, ticket.updated_at)


def change(ticket: Ticket, policy: Policy, at: datetime, *, responded: bool = False, **values: Any) -> Ticket:
    """The ticket with these values, its SLA clock moved on. Every change of a ticket goes through here.

    What the clock had to tell before this change counts as told now, see `alarms_told`.
    """
    before = clock_of(ticket)
    status, priority = values.get("status"), values.get("priority")
    clock = sla.advance(policy, before, at, status=status, priority=priority, responded=responded)
    told = Told(ticket.alarms)
    rings = ticket.next_alarm_at is not None and ticket.next_alarm_at <= at
    if rings or clock.cycle > before.cycle:
        told = alarms.after_change(policy, before, clock, told, at)
    moved = {**values, **clock_columns(clock), **alarm_columns(policy, clock, told)}
    return replace(ticket, version=ticket.version + 1, updated_at=at, **moved)


def alarm_columns(policy: Policy, clock: Clock, told: Told) -> dict[str, Any]:
    """What the clock has told, and when it next has something to tell."""
    return {"alarms": int(told), "next_alarm_at": alarms.next_alarm(policy, clock, told)}


def close(ticket: Ticket, policy: Policy, body: CloseIn, now: datetime, *, duplicate_of: str | None = None) -> Ticket:
    """The ticket closed. Raises `ticket_already_closed` (409), naming when.

    `resolved_at` and `closed_at` become the same instant, also if it was resolved before; SLA results are final.
    `duplicate_of` is the id of the original that the close names; None leaves what is known of it.
    """
    if ticket.status == "closed" and ticket.closed_at is not None:
        raise Conflict("ticket_already_closed", "Ticket is already closed", closed_at=iso(ticket.closed_at))
    at = moment(ticket, now)
    return change(
        ticket,
        policy,
        at,
        status="closed",
        resolved_at=at,
        closed_at=at,
        resolution_note=body.resolution_note,
        customer_satisfaction=body.customer_satisfaction,
        satisfaction_source=None if body.customer_satisfaction is None else "api",
        resolution_time=body.resolution_time,
        root_cause=body.root_cause,
        duplicate_of=duplicate_of or ticket.duplicate_of,
    )


def reopen(ticket: Ticket, policy: Policy, now: datetime) -> Ticket:
    """The ticket reopened: what the close recorded stays as its resolution, the ticket begins anew."""
    if ticket.status not in {"closed", "resolved"}:
        raise Conflict("ticket_not_closed", f"Ticket is {ticket.status}; only a closed or resolved one can be reopened")
    return change(
        ticket,
        policy,
        moment(ticket, now),
        status="reopened",
        reopen_count=ticket.reopen_count + 1,
        resolved_at=None,
        closed_at=None,
        resolution_note=None,
        customer_satisfaction=None,
        satisfaction_source=None,
        resolution_time=None,
        root_cause=None,
    )


def update(ticket: Ticket, policy: Policy, given: Mapping[str, Any], now: datetime) -> Ticket:
    """The ticket with the fields given; itself if they change nothing.

    Raises `ticket_closed` for what a closed ticket does not accept, and `invalid_transition`.
    """
    if ticket.status == "closed" and (refused := _refused_when_closed(given)):
        raise Conflict("ticket_closed", f"Ticket is closed; reopen it to change {', '.join(refused)}")
    changes = {name: value for name, value in given.items() if not same(value, getattr(ticket, name))}
    status: Status | None = changes.pop("status", None)
    if given.get("status") == "closed":
        status = "closed"  # closing twice is no idle change, it has an answer of its own
    if "assigned_to" in changes and changes["assigned_to"] is not None and ticket.status == "new":
        status = status or "open"
    at = moment(ticket, now)
    if status in {"closed", "reopened"}:
        between = change(ticket, policy, at, **changes) if changes else ticket
        moved = close(between, policy, CloseIn(), at) if status == "closed" else reopen(between, policy, at)
        return replace(moved, version=ticket.version + 1)
    if status is not None:
        check_transition(ticket.status, status)
        changes |= {"status": status, "resolved_at": at if status == "resolved" else None}
    return change(ticket, policy, at, **changes) if changes else ticket


def _refused_when_closed(given: Mapping[str, Any]) -> list[str]:
    """`closed` is not refused here: closing twice has an answer of its own."""
    reopening = given.get("status") in {"reopened", "closed"}
    return sorted(given.keys() - ALWAYS_ALLOWED - {"assigned_name"} - ({"status"} if reopening else set()))


def merged(present: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    """Custom fields with those given: a `null` value removes its key, `null` for all of them removes all."""
    if given is None:
        return {}
    removed = {name for name, value in given.items() if value is None}
    return {name: value for name, value in {**present, **given}.items() if name not in removed}


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field are the same as JSON, where `true` is not 1."""
    if one is other or one != other:
        return one is other
    return not isinstance(one, dict) or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def check_custom_fields(value: dict[str, Any]) -> None:
    """The bounds of custom fields hold after merging too."""
    try:
        _CUSTOM_FIELDS.validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ValidationFailed(field_error("custom_fields", "too_large", f"after merging: {message}")) from None


def alarms_told(old: Ticket, new: Ticket) -> list[tuple[EventType, dict[str, Any]]]:
    """The warnings and breaches that were told between two states, each with what it is about."""
    if new.alarms == old.alarms or new.reopen_count > old.reopen_count:
        return []  # one that reopens was at rest until now, and what was missed before is not told again
    newly = Told(new.alarms).told & ~Told(old.alarms)
    due = {"response": old.response_due_at, "resolution": old.resolution_due_at}
    return [
        (_ALARM_EVENTS[kind], {"target": target, "due_at": due[target], "cycle": old.reopen_count + 1})
        for told, target, kind in alarms.SUBJECTS
        if told & newly
    ]


def facts(old: Ticket, new: Ticket, beside: Mapping[str, Any] | None = None) -> list[tuple[EventType, dict[str, Any]]]:
    """What happened between two states, each change told by exactly one fact; `beside` are changes around it."""
    changes = {**history(old, new), **(beside or {})}
    assigned: dict[str, Any] = {name: changes.pop(name) for name in ("assigned_to", "assigned_name") if name in changes}
    status = {name: changes.pop(name) for name in _STATUS_FIELDS if name in changes} if "status" in changes else {}
    told: list[tuple[EventType, dict[str, Any]]] = []
    if changes:
        told.append(("ticket.updated", changes))
    if assigned:
        told.append(("ticket.assigned", assigned))
    if status:
        told.append((_STATUS_EVENTS.get(new.status, "ticket.status_changed"), status))
    return told


def resolution(closed: Ticket, resolution_id: str, actor: ResolutionActor) -> Resolution:
    """What the close that led to `closed` recorded."""
    assert closed.closed_at is not None
    return Resolution(
        id=resolution_id,
        ticket_id=closed.id,
        cycle=closed.reopen_count + 1,
        resolution_note=closed.resolution_note,
        customer_satisfaction=closed.customer_satisfaction,
        satisfaction_source=closed.satisfaction_source,
        resolution_time=closed.resolution_time,
        root_cause=closed.root_cause,
        agent_id=closed.assigned_to,
        agent_name=closed.assigned_name,
        duplicate_of=closed.duplicate_of,
        closed_by=actor,
        sla=ResolutionSla(
            response_met=closed.response_met,
            resolution_met=closed.resolution_met,
            response_due_at=closed.response_due_at,
            resolution_due_at=closed.resolution_due_at,
            first_response_at=closed.first_response_at,
        ),
        resolved_at=closed.resolution_completed_at or closed.closed_at,
        closed_at=closed.closed_at,
    )


def columns_changed(old: Ticket, new: Ticket) -> dict[str, Any]:
    """The columns whose value differs."""
    triples = zip(_COLUMNS, _COLUMNS_OF(old), _COLUMNS_OF(new), strict=True)
    return {name: after for name, before, after in triples if after is not before and not same(after, before)}


def history(old: Ticket, new: Ticket) -> dict[str, dict[str, Any]]:
    """`{"field": {"from", "to"}}` of what people would call a change."""
    triples = zip(_HISTORY_FIELDS, _HISTORY_OF(old), _HISTORY_OF(new), strict=True)
    return {
        name: {"from": before, "to": after}
        for name, before, after in triples
        if after is not before and not same(before, after)
    }


def iso(at: datetime) -> str:
    """An instant as the API writes it."""
    return at.replace(tzinfo=None).isoformat() + "Z"


def label(number: int) -> str:
    """A ticket's number as people say it: `TICK-1234`."""
    return f"TICK-{number}"


def number_of(reference: str) -> int | None:
    """The number in `TICK-1234`, None if the reference is an id."""
    found = _NUMBER.fullmatch(reference)
    return int(found[1]) if found else None


def item(ticket: Ticket, now: datetime) -> dict[str, Any]:
    """The ticket as a list shows it (see `TicketItem`): the object without its description. SLA as seen at `now`."""
    return {
        "id": ticket.id,
        "number": label(ticket.number),
        "subject": ticket.subject,
        "priority": ticket.priority,
        "priority_label": PRIORITY_LABELS[ticket.priority],
        "status": ticket.status,
        "category": ticket.category,
        "contact_id": ticket.contact_id,
        "conversation_id": ticket.conversation_id,
        "assigned_to": ticket.assigned_to,
        "assigned_name": ticket.assigned_name,
        "follow_up_of": ticket.follow_up_of,
        "duplicate_of": ticket.duplicate_of,
        "due_date": ticket.due_date,
        "tags": ticket.tags,
        "custom_fields": ticket.custom_fields,
        "metadata": ticket.metadata,
        "resolution_note": ticket.resolution_note,
        "customer_satisfaction": ticket.customer_satisfaction,
        "satisfaction_source": ticket.satisfaction_source,
        "resolution_time": ticket.resolution_time,
        "root_cause": ticket.root_cause,
        "sla": _sla(ticket, now),
        "reopen_count": ticket.reopen_count,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
        "resolved_at": ticket.resolved_at,
        "closed_at": ticket.closed_at,
    }


def _sla(ticket: Ticket, now: datetime) -> dict[str, Any]:
    seen = sla.seen(ticket, now)
    return {
        "response_met": seen.response_met,
        "resolution_met": seen.resolution_met,
        "response_due_at": ticket.response_due_at,
        "resolution_due_at": ticket.resolution_due_at,
        "first_response_at": ticket.first_response_at,
        "breached": seen.breached,
        "paused": seen.paused,
    }


def view(ticket: Ticket, now: datetime) -> dict[str, Any]:
    """The published ticket object (see `TicketObject`)."""
    return {**item(ticket, now), "description": ticket.description}


def as_json(ticket: Ticket, now: datetime) -> str:
    """The published ticket object as JSON. Written straight from the ticket: it was checked when it came in."""
    return to_json(view(ticket, now)).decode()
