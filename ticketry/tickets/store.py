"""Tickets in SQL. A change and its facts are one statement, which finds the ticket only in the version it is for."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from ticketry.accounts.users.store import WORKS_AS
from ticketry.contacts.store import LIVES
from ticketry.db.paging import PageIn
from ticketry.db.pool import Tx
from ticketry.db.sql import assignments
from ticketry.events.models import NewEvent
from ticketry.events.store import insertion
from ticketry.sla.policies.store import TRIED
from ticketry.tickets.comments.models import Comment
from ticketry.tickets.models import Resolution, ResolutionActor, ResolutionSla, Ticket
from ticketry.tickets.rules import number_of

TICKET_COLUMNS = """
    t.workspace_id, t.id, t.number, t.version, t.subject, t.description, t.priority, t.status, t.category, t.contact_id,
    t.conversation_id, t.assigned_to, u.name AS assigned_name, t.follow_up_of, t.due_date, t.created_at,
    t.updated_at, t.sla_since, t.tags, t.custom_fields, t.metadata, t.resolution_note, t.customer_satisfaction,
    t.satisfaction_source, t.resolution_time, t.root_cause, t.duplicate_of, t.reopen_count, t.resolved_at, t.closed_at,
    t.sla_policy_id, t.sla_policy_version, t.response_spent, t.resolution_spent, t.response_due_at,
    t.resolution_due_at, t.first_response_at, t.response_completed_at, t.resolution_completed_at, t.response_met,
    t.resolution_met, t.sla_paused, t.next_alarm_at, t.alarms"""
"""In the order of `Ticket`'s fields: rows then become tickets without their columns being named."""
TICKET_SOURCE = "tickets t LEFT JOIN users u ON u.workspace_id = t.workspace_id AND u.id = t.assigned_to"
_JSON_COLUMNS = frozenset({"custom_fields", "metadata"})
_INSERTED = (
    "id", "subject", "description", "priority", "status", "category", "contact_id", "conversation_id", "assigned_to",
    "follow_up_of", "due_date", "created_at", "updated_at", "sla_since", "tags", "custom_fields", "metadata",
    "sla_policy_id", "sla_policy_version", "response_due_at", "resolution_due_at", "sla_paused", "number",
    "next_alarm_at", "alarms",
)  # fmt: skip


async def get(tx: Tx, workspace_id: str, reference: str) -> Ticket | None:
    """A ticket by its id or its number."""
    number = number_of(reference)
    column, value = ("id", reference) if number is None else ("number", number)
    query = f"SELECT {TICKET_COLUMNS} FROM {TICKET_SOURCE} WHERE t.workspace_id = %s AND t.{column} = %s"
    return await tx.one_of(Ticket, query, (workspace_id, value))


async def several(tx: Tx, workspace_id: str, references: Sequence[str]) -> dict[str, Ticket]:
    """Tickets by their ids or numbers, each under what it was called; those that are not there are left out."""
    numbers = {reference: number_of(reference) for reference in references}
    found = await tx.all_of(
        Ticket,
        f"""SELECT {TICKET_COLUMNS} FROM {TICKET_SOURCE} WHERE t.workspace_id = %(workspace_id)s AND t.id = ANY(%(ids)s)
            UNION ALL
            SELECT {TICKET_COLUMNS} FROM {TICKET_SOURCE}
            WHERE t.workspace_id = %(workspace_id)s AND t.number = ANY(%(numbers)s)""",
        {
            "workspace_id": workspace_id,
            "ids": [reference for reference, number in numbers.items() if number is None],
            "numbers": [number for number in numbers.values() if number is not None],
        },
    )
    by_name: dict[str | int, Ticket] = {ticket.id: ticket for ticket in found}
    by_name |= {ticket.number: ticket for ticket in found}
    named = ((reference, by_name.get(reference if number is None else number)) for reference, number in numbers.items())
    return {reference: ticket for reference, ticket in named if ticket is not None}


def _adapted(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if name in _JSON_COLUMNS else value for name, value in values.items()}


class Opening(NamedTuple):
    """What a new ticket begins with: its number, its assignee's name, and the policies that are tried for it."""

    number: int | None
    assigned_name: str | None
    policies: list[str]


async def opening(tx: Tx, workspace_id: str, contact_id: str | None, assigned_to: str | None) -> Opening:
    """Takes the workspace's next number, which is never given again; none unless the contact is there and the assignee
    works here."""
    row = await tx.one(
        f"""SELECT CASE WHEN (%(contact_id)s::text IS NULL OR {LIVES})
                        AND (%(assigned_to)s::text IS NULL OR {WORKS_AS} IS NOT NULL)
                   THEN nextval(format('numbers.%%I', %(workspace_id)s::text)::regclass) END,
                {WORKS_AS}, {TRIED}""",
        {"workspace_id": workspace_id, "contact_id": contact_id, "assigned_to": assigned_to},
    )
    assert row is not None
    return Opening(*row)


async def insert(tx: Tx, ticket: Ticket, events: Sequence[NewEvent]) -> None:
    """Stores a new ticket and its facts, in one statement."""
    recording, params = insertion(events, "made")
    columns = ", ".join(_INSERTED)
    places = ", ".join(f"%({name})s" for name in _INSERTED)
    await tx.execute(
        f"""WITH made AS (
                INSERT INTO tickets (workspace_id, last_transaction, {columns})
                VALUES (%(workspace_id)s, feed_now(), {places})
                RETURNING workspace_id, id, last_transaction)
            {recording}""",
        {
            **_adapted({name: getattr(ticket, name) for name in _INSERTED}),
            "workspace_id": ticket.workspace_id,
            **params,
        },
    )


@lru_cache(maxsize=256)
def _change_text(columns: tuple[str, ...], recording: str, *more: str) -> str:
    """The statement that changes `columns` of a ticket, records its facts, and whatever `more` CTEs add."""
    ctes = "".join(f", {cte}" for cte in more)
    return f"""
        WITH changed AS (
            UPDATE tickets SET {assignments(columns)}, version = version + 1,
                last_transaction = greatest(last_transaction, feed_now())
            WHERE workspace_id = %(workspace_id)s AND id = %(ticket_id)s AND version = %(version)s
            RETURNING workspace_id, id, last_transaction){ctes}
        {recording}"""


_RESOLUTION = """resolution AS (
    INSERT INTO resolutions (workspace_id, id, ticket_id, cycle, resolution_note, customer_satisfaction,
        satisfaction_source, resolution_time, root_cause, agent_id, agent_name, actor_type, actor_id, actor_name,
        response_met, resolution_met, response_due_at, resolution_due_at, first_response_at, resolved_at, closed_at,
        sla_policy_id, sla_policy_version, duplicate_of)
    SELECT workspace_id, %(resolution_id)s, id, %(cycle)s, %(resolution_note)s, %(customer_satisfaction)s,
        %(satisfaction_source)s, %(resolution_time)s, %(root_cause)s, %(agent_id)s, %(agent_name)s, %(closer_type)s,
        %(closer_id)s, %(closer_name)s, %(final_response_met)s, %(final_resolution_met)s, %(final_response_due_at)s,
        %(final_resolution_due_at)s, %(final_first_response_at)s, %(first_resolved_at)s, %(final_closed_at)s,
        %(held_policy_id)s, %(held_policy_version)s, %(was_duplicate_of)s
    FROM changed)"""


_COMMENT = """comment AS (
    INSERT INTO comments (workspace_id, id, ticket_id, body, visibility, author_type, author_id, author_name,
        created_at)
    SELECT workspace_id, %(comment_id)s, id, %(comment_body)s, %(visibility)s, %(author_type)s, %(author_id)s,
        %(author_name)s, %(commented_at)s
    FROM changed)"""

CLOSING_COLUMNS = (
    "status", "updated_at", "resolution_note", "customer_satisfaction", "satisfaction_source", "resolution_time",
    "root_cause", "resolved_at", "closed_at", "sla_since", "response_spent", "resolution_spent", "response_due_at",
    "resolution_due_at", "response_completed_at", "resolution_completed_at", "response_met", "resolution_met",
    "sla_paused", "next_alarm_at", "alarms",
)  # fmt: skip
"""What a close writes, always all of it: one statement text, so one prepared statement."""


def change_statement(
    old: Ticket,
    columns: Mapping[str, Any],
    events: Sequence[NewEvent],
    resolution: Resolution | None = None,
    comment: Comment | None = None,
) -> tuple[str, dict[str, Any]]:
    """The one statement of a change: the ticket in the version read, its facts, a resolution, a comment."""
    recording, params = insertion(events, "changed")
    params |= {"workspace_id": old.workspace_id, "ticket_id": old.id, "version": old.version, **_adapted(columns)}
    more = []
    if resolution is not None:
        more.append(_RESOLUTION)
        params |= _resolution_params(resolution)
        params |= {"held_policy_id": old.sla_policy_id, "held_policy_version": old.sla_policy_version}
    if comment is not None:
        more.append(_COMMENT)
        params |= _comment_params(comment)
    return _change_text(tuple(columns), recording, *more), params


def _resolution_params(resolution: Resolution) -> dict[str, Any]:
    sla = resolution.sla
    return {
        "resolution_id": resolution.id,
        "cycle": resolution.cycle,
        "agent_id": resolution.agent_id,
        "agent_name": resolution.agent_name,
        "was_duplicate_of": resolution.duplicate_of,
        "closer_type": resolution.closed_by.type,
        "closer_id": resolution.closed_by.id,
        "closer_name": resolution.closed_by.name,
        "final_response_met": sla.response_met,
        "final_resolution_met": sla.resolution_met,
        "final_response_due_at": sla.response_due_at,
        "final_resolution_due_at": sla.resolution_due_at,
        "final_first_response_at": sla.first_response_at,
        "first_resolved_at": resolution.resolved_at,
        "final_closed_at": resolution.closed_at,
    }


def _comment_params(comment: Comment) -> dict[str, Any]:
    return {
        "comment_id": comment.id,
        "comment_body": comment.body,
        "visibility": comment.visibility,
        "author_type": comment.author.type,
        "author_id": comment.author.id,
        "author_name": comment.author.name,
        "commented_at": comment.created_at,
    }


async def change(
    tx: Tx,
    old: Ticket,
    columns: Mapping[str, Any],
    events: Sequence[NewEvent],
    resolution: Resolution | None = None,
    comment: Comment | None = None,
) -> bool:
    """Writes a change. False, and nothing is written, if somebody changed the ticket after `old` was read."""
    return await tx.execute(*change_statement(old, columns, events, resolution, comment)) > 0


async def resolutions(tx: Tx, workspace_id: str, ticket_id: str, asked: PageIn) -> list[Resolution]:
    """What the closes of a ticket recorded, oldest first."""
    rows = await tx.all(
        """SELECT id, ticket_id, cycle, resolution_note, customer_satisfaction, satisfaction_source, resolution_time,
                  root_cause, agent_id, agent_name, duplicate_of, actor_type, actor_id, actor_name, response_met,
                  resolution_met, response_due_at, resolution_due_at, first_response_at, resolved_at, closed_at
           FROM resolutions WHERE workspace_id = %s AND ticket_id = %s ORDER BY cycle LIMIT %s OFFSET %s""",
        (workspace_id, ticket_id, asked.per_page, asked.offset),
    )
    return [_resolution(row) for row in rows]


def _resolution(row: tuple[Any, ...]) -> Resolution:
    (
        id_,
        ticket,
        cycle,
        note,
        rating,
        source,
        time,
        cause,
        agent,
        agent_name,
        duplicate_of,
        kind,
        who,
        name,
        *sla,
        resolved,
        closed,
    ) = row
    return Resolution(
        id=id_,
        ticket_id=ticket,
        cycle=cycle,
        resolution_note=note,
        customer_satisfaction=rating,
        satisfaction_source=source,
        resolution_time=time,
        root_cause=cause,
        agent_id=agent,
        agent_name=agent_name,
        duplicate_of=duplicate_of,
        closed_by=ResolutionActor(type=kind, id=who, name=name),
        sla=ResolutionSla(**dict(zip(ResolutionSla.model_fields, sla, strict=True))),
        resolved_at=resolved,
        closed_at=closed,
    )


async def count_resolutions(tx: Tx, workspace_id: str, ticket_id: str) -> int:
    """How often a ticket was closed."""
    query = "SELECT count(*) FROM resolutions WHERE workspace_id = %s AND ticket_id = %s"
    row = await tx.one(query, (workspace_id, ticket_id))
    return int(row[0]) if row else 0
