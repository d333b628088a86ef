"""Tickets as a help desk of some years has them: old ones closed, recent ones open, their SLA clocks by the rules."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from math import exp
from typing import Any

from psycopg.types.json import Jsonb

from bench.texts import RARE, RARE_TICKETS, Writer
from ticketry.sla import alarms
from ticketry.sla import rules as sla
from ticketry.sla.alarms import Told
from ticketry.sla.models import DEFAULT_POLICY, Clock
from ticketry.tickets.rules import alarm_columns, clock_columns

AGENTS = tuple(f"user_bench_{number:02}" for number in range(20))
CATEGORIES = (
    "billing", "refund", "delivery", "login", "bug", "feature", "account", "privacy", "invoice", "returns", "mobile",
    "other",
)  # fmt: skip
TAGS = tuple(f"tag-{number:02}" for number in range(60))
OPEN_STATES = ("new", "open", "in_progress", "waiting_on_customer", "waiting_on_third_party", "reopened")
PRIORITIES, PRIORITY_SHARES = (1, 2, 3, 4), (0.05, 0.2, 0.55, 0.2)
PAST = timedelta(days=365)
TICKETS_A_CONTACT = 10

Row = dict[str, Any]


def id_of(number: int) -> str:
    """The id of the ticket with this number: a well-formed TypeID that SQL and wrk can make as well."""
    return f"ticket_01{number:024d}"


def contact_of(number: int) -> str:
    """The id of a contact."""
    return f"contact_bench_{number:07}"


@dataclass
class Desk:
    """Makes rows for the tickets numbered from `first` on."""

    workspace_id: str
    now: datetime
    first: int
    count: int
    contacts: int
    all_open: bool = False
    writer: Writer = field(default_factory=Writer)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.first)
        self.tag_weights = list(accumulate(1 / (rank + 2) for rank in range(len(TAGS))))
        step = max(1, self.count // RARE_TICKETS)
        self.rare = {n * step + k: word for k, word in enumerate(RARE) for n in range(RARE_TICKETS)}

    def rows(self) -> Iterator[Row]:
        """The tickets, oldest first."""
        for position in range(self.count):
            yield self._row(position)

    def _row(self, position: int) -> Row:
        rng, number = self.rng, self.first + position
        created = self._created(position)
        priority = rng.choices(PRIORITIES, PRIORITY_SHARES)[0]
        status, clock = self._life(created, priority)
        return {
            **self._identity(number),
            **self._words(position),
            "priority": priority,
            "status": status,
            "created_at": created,
            "updated_at": clock.since,
            "due_date": created + timedelta(days=rng.randint(1, 30)) if rng.random() < 0.4 else None,
            "reopen_count": int(status == "reopened"),
            **_outcome(rng, status, clock),
            **_clock(clock, self.now),
        }

    def _created(self, position: int) -> datetime:
        """Spread over the past; tickets for closing are new, so that no alarm comes between."""
        past = timedelta(minutes=1) if self.all_open else PAST
        return (self.now - past + past * (position / self.count)).replace(microsecond=0)

    def _identity(self, number: int) -> Row:
        rng = self.rng
        return {
            "workspace_id": self.workspace_id,
            "id": id_of(number),
            "number": number,
            "category": rng.choice(CATEGORIES),
            "contact_id": contact_of(rng.randrange(self.contacts)),
            "assigned_to": rng.choice(AGENTS) if rng.random() < 0.9 else None,
            "tags": list(dict.fromkeys(rng.choices(TAGS, cum_weights=self.tag_weights, k=rng.randint(0, 3)))),
            "custom_fields": Jsonb({"order_id": number, "plan": rng.choice(("free", "team", "business"))}),
        }

    def _words(self, position: int) -> Row:
        rare = self.rare.get(position) if not self.all_open else None
        text = self.writer.description()
        return {"subject": self.writer.subject(), "description": f"{text} {rare}" if rare else text}

    def _life(self, created: datetime, priority: int) -> tuple[str, Clock]:
        """Where the ticket stands now, and its clock."""
        rng = self.rng
        clock = sla.start(DEFAULT_POLICY, created, priority, "new")
        if self.all_open:
            return "new", clock
        target = DEFAULT_POLICY.target(priority)
        age = (self.now - created).total_seconds()
        answered = created + timedelta(seconds=min(age, (target.response or 60) * 60 * rng.expovariate(2.0)))
        finished = answered + timedelta(minutes=(target.resolution or 60) * rng.expovariate(2.5))
        status = self._status(finished, age)
        return status, _ran(clock, status, answered, min(finished, self.now))

    def _status(self, finished: datetime, age: float) -> str:
        if finished < self.now and self.rng.random() > 0.03 + 0.5 * exp(-age / 86_400 / 20):
            return "resolved" if self.rng.random() < 0.05 else "closed"
        return self.rng.choices(OPEN_STATES, (20, 30, 20, 20, 5, 5))[0]


def _ran(clock: Clock, status: str, answered: datetime, finished: datetime) -> Clock:
    """The clock after the facts that lead to this status."""
    if status == "new":
        return clock
    clock = sla.advance(DEFAULT_POLICY, clock, answered, status="open", responded=True)
    if status == "reopened":
        clock = sla.advance(DEFAULT_POLICY, clock, answered, status="closed")
    return sla.advance(DEFAULT_POLICY, clock, finished, status=status)


def _clock(clock: Clock, now: datetime) -> Row:
    """The clock's columns, its warnings and breaches told until now, as a worker does every few seconds."""
    due = [alarm for alarm in alarms.pending(DEFAULT_POLICY, clock, Told.NOTHING) if alarm.at <= now]
    told = Told.NOTHING
    for alarm in due:
        told |= alarm.told
        clock = sla.advance(DEFAULT_POLICY, clock, alarm.at)
    return {**clock_columns(clock), **alarm_columns(DEFAULT_POLICY, clock, told)}


def _outcome(rng: random.Random, status: str, clock: Clock) -> Row:
    """What closing recorded, empty for others."""
    closed, rated = status == "closed", status == "closed" and rng.random() < 0.5
    return {
        "resolved_at": clock.since if status in {"resolved", "closed"} else None,
        "closed_at": clock.since if closed else None,
        "resolution_note": "Refund processed; the customer was told by mail." if closed else None,
        "customer_satisfaction": rng.randint(1, 10) if rated else None,
        "satisfaction_source": "customer" if rated else None,
        "resolution_time": rng.randint(5, 600) if closed else None,
        "root_cause": rng.choice(("system_error", "user_error", "third_party", "unclear")) if closed else None,
    }


_KEPT = (
    "workspace_id", "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time", "root_cause",
    "response_met", "resolution_met", "response_due_at", "resolution_due_at", "first_response_at", "resolved_at",
    "closed_at",
)  # fmt: skip


def resolution_of(row: Row) -> Row:
    """What the close of a closed ticket recorded."""
    kept = {name: row[name] for name in _KEPT}
    actor = {"actor_type": "key", "actor_id": "key_bench", "actor_name": "bench", "agent_id": row["assigned_to"]}
    return {**kept, **actor, "id": f"res_01{row['number']:024d}", "ticket_id": row["id"], "cycle": 1}


def event_of(row: Row) -> Row:
    """The fact of a ticket's creation, its data cut short."""
    return {
        "workspace_id": row["workspace_id"],
        "id": f"evt_01{row['number']:024d}",
        "type": "ticket.created",
        "ticket_id": row["id"],
        "actor_type": "key",
        "actor_id": "key_bench",
        "actor_name": "bench",
        "created_at": row["created_at"],
        "data": Jsonb({"ticket": {"id": row["id"], "status": "new", "priority": row["priority"]}, "changes": {}}),
    }
