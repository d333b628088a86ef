"""Calendars and policies in SQL."""

from typing import Any

from psycopg.types.json import Jsonb

from ticketry.db.pool import Tx
from ticketry.db.sql import assignments
from ticketry.sla.models import Calendar, Policy
from ticketry.sla.policies.models import CalendarObject, Conditions, Escalation, StoredPolicy, TargetIn
from ticketry.sla.policies.rules import shown_targets, targets_of

_CALENDAR = "id, name, opening_hours, time_zone, country, closed_days, created_at, updated_at"
_POLICY = """SELECT p.id, v.version, p.position, p.active, p.created_at, p.updated_at, v.name, v.targets,
        v.pause_on_third_party, v.conditions, v.escalations, v.calendar_id, v.calendar_name, v.opening_hours,
        v.time_zone, v.country, v.closed_days
    FROM sla_policies p JOIN sla_policy_versions v ON v.workspace_id = p.workspace_id AND v.policy_id = p.id"""

TRIED = """ARRAY(SELECT version || ' ' || id FROM sla_policies
    WHERE workspace_id = %(workspace_id)s AND active ORDER BY position, id)"""
"""The policies that a new ticket may get, in the order in which they are tried: version and id."""


async def lock(tx: Tx, workspace_id: str) -> None:
    """One at a time changes a workspace's calendars and policies: a version holds a copy of a calendar."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('sla ' || %s, 0))", (workspace_id,))


async def get_calendar(tx: Tx, workspace_id: str, calendar_id: str) -> CalendarObject | None:
    """One calendar."""
    query = f"SELECT {_CALENDAR} FROM sla_calendars WHERE workspace_id = %s AND id = %s"
    return await tx.one_of(CalendarObject, query, (workspace_id, calendar_id))


async def insert_calendar(tx: Tx, workspace_id: str, calendar: CalendarObject) -> None:
    """Stores a new calendar."""
    values = tuple(getattr(calendar, name) for name in CalendarObject.model_fields)
    query = f"INSERT INTO sla_calendars (workspace_id, {_CALENDAR}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
    await tx.execute(query, (workspace_id, *values))


async def update_calendar(tx: Tx, workspace_id: str, calendar_id: str, changes: dict[str, Any]) -> None:
    """Sets the columns given."""
    query = f"UPDATE sla_calendars SET {assignments(changes)} WHERE workspace_id = %(workspace_id)s AND id = %(key)s"
    await tx.execute(query, {**changes, "workspace_id": workspace_id, "key": calendar_id})


async def calendars(tx: Tx, workspace_id: str, limit: int, offset: int) -> tuple[list[CalendarObject], int]:
    """The calendars by name, and how many there are."""
    query = f"SELECT {_CALENDAR} FROM sla_calendars WHERE workspace_id = %s ORDER BY name, id LIMIT %s OFFSET %s"
    found = await tx.all_of(CalendarObject, query, (workspace_id, limit, offset))
    row = await tx.one("SELECT count(*) FROM sla_calendars WHERE workspace_id = %s", (workspace_id,))
    return found, int(row[0]) if row else 0


def _stored(row: tuple[Any, ...]) -> StoredPolicy:
    (id_, version, position, active, created, updated, name, targets, pause, conditions, escalations, *hours) = row
    calendar_id, calendar_name, opening_hours, zone, country, closed_days = hours
    calendar = Calendar(opening_hours, zone, country, tuple(closed_days), calendar_id, calendar_name)
    given = {priority: TargetIn(**target) for priority, target in targets.items()}
    return StoredPolicy(
        id=id_,
        version=version,
        position=position,
        active=active,
        created_at=created,
        updated_at=updated,
        policy=Policy(id_, version, name, targets_of(given), calendar, pause),
        conditions=Conditions(**conditions),
        escalations=[Escalation(**escalation) for escalation in escalations],
    )


async def current(tx: Tx, workspace_id: str) -> list[StoredPolicy]:
    """The newest version of every policy, in the order in which they are tried."""
    query = f"{_POLICY} AND v.version = p.version WHERE p.workspace_id = %s ORDER BY p.position, p.id"
    return [_stored(row) for row in await tx.all(query, (workspace_id,))]


async def get(tx: Tx, workspace_id: str, policy_id: str) -> StoredPolicy | None:
    """The newest version of a policy."""
    query = f"{_POLICY} AND v.version = p.version WHERE p.workspace_id = %s AND p.id = %s"
    row = await tx.one(query, (workspace_id, policy_id))
    return _stored(row) if row else None


async def get_version(tx: Tx, workspace_id: str, policy_id: str, version: int) -> StoredPolicy | None:
    """One version of a policy. It never changes, so it may be kept."""
    query = f"{_POLICY} WHERE p.workspace_id = %s AND p.id = %s AND v.version = %s"
    row = await tx.one(query, (workspace_id, policy_id, version))
    return _stored(row) if row else None


async def insert(tx: Tx, workspace_id: str, stored: StoredPolicy) -> None:
    """Stores a new policy with its first version."""
    await tx.execute(
        """INSERT INTO sla_policies (workspace_id, id, version, position, active, created_at, updated_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (
            workspace_id, stored.id, stored.version, stored.position, stored.active, stored.created_at,
            stored.updated_at,
        ),
    )  # fmt: skip
    await _insert_version(tx, workspace_id, stored)


async def update(tx: Tx, workspace_id: str, stored: StoredPolicy) -> None:
    """Makes `stored` the newest version."""
    await tx.execute(
        """UPDATE sla_policies SET version = %s, position = %s, active = %s, updated_at = %s
           WHERE workspace_id = %s AND id = %s""",
        (stored.version, stored.position, stored.active, stored.updated_at, workspace_id, stored.id),
    )
    await _insert_version(tx, workspace_id, stored)


async def _insert_version(tx: Tx, workspace_id: str, stored: StoredPolicy) -> None:
    policy, calendar = stored.policy, stored.policy.calendar
    targets = {priority: target.model_dump() for priority, target in shown_targets(policy.targets).items()}
    await tx.execute(
        """INSERT INTO sla_policy_versions (workspace_id, policy_id, version, name, targets, pause_on_third_party,
               conditions, escalations, calendar_id, calendar_name, opening_hours, time_zone, country, closed_days,
               created_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            workspace_id, stored.id, stored.version, policy.name, Jsonb(targets), policy.pause_on_third_party,
            Jsonb(stored.conditions.model_dump()), Jsonb([e.model_dump() for e in stored.escalations]), calendar.id,
            calendar.name, calendar.opening_hours, calendar.time_zone, calendar.country, list(calendar.closed_days),
            tx.now,
        ),
    )  # fmt: skip
