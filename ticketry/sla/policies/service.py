"""Use cases of calendars and policies."""

from dataclasses import replace
from typing import Any

from ticketry.accounts.users import service as users
from ticketry.core.errors import Conflict, NotFound, ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.sla.models import Calendar, Policy
from ticketry.sla.policies import rules, store
from ticketry.sla.policies.models import (
    DEFAULT_POLICY_ID,
    LAST_POSITION,
    CalendarIn,
    CalendarObject,
    CalendarPatch,
    Conditions,
    Escalation,
    PolicyIn,
    PolicyObject,
    PolicyPatch,
    StoredPolicy,
)
from ticketry.sla.policies.rules import Traits

MOST_POLICIES = 200
_KEPT = 1_000
_versions: dict[tuple[str, str, int], StoredPolicy] = {}
"""Versions never change, so what was read once holds for good, in every process."""


async def create_calendar(tx: Tx, workspace_id: str, body: CalendarIn) -> CalendarObject:
    """Adds a calendar. Raises `ValidationFailed` with the parser's words if its hours cannot be read."""
    zone = body.time_zone or "UTC"
    rules.check(body.opening_hours, zone, body.country)
    calendar = CalendarObject(
        id=mint("cal"),
        name=body.name,
        opening_hours=body.opening_hours,
        time_zone=zone,
        country=body.country,
        closed_days=sorted(set(body.closed_days or [])),
        created_at=tx.now,
        updated_at=tx.now,
    )
    await store.insert_calendar(tx, workspace_id, calendar)
    return calendar


async def get_calendar(tx: Tx, workspace_id: str, calendar_id: str) -> CalendarObject:
    """One calendar."""
    calendar = await store.get_calendar(tx, workspace_id, calendar_id)
    if calendar is None:
        raise NotFound("calendar_not_found", "Calendar not found")
    return calendar


async def calendars(tx: Tx, workspace_id: str, asked: PageIn) -> Page[CalendarObject]:
    """The calendars by name."""
    found, total = await store.calendars(tx, workspace_id, asked.per_page, asked.offset)
    return page_of(found, total, asked)


async def update_calendar(tx: Tx, workspace_id: str, calendar_id: str, body: CalendarPatch) -> CalendarObject:
    """Changes a calendar. Every policy that uses it gets a new version; tickets keep the one they have."""
    await store.lock(tx, workspace_id)
    old = await get_calendar(tx, workspace_id, calendar_id)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    if "closed_days" in changes:
        changes["closed_days"] = sorted(set(changes["closed_days"] or []))
    if all(value == getattr(old, name) for name, value in changes.items()):
        return old
    new = old.model_copy(update={**changes, "updated_at": tx.now})
    rules.check(new.opening_hours, new.time_zone, new.country)
    await store.update_calendar(tx, workspace_id, calendar_id, {**changes, "updated_at": tx.now})
    for stored in await store.current(tx, workspace_id):
        if stored.policy.calendar.id == calendar_id:
            await _next_version(tx, workspace_id, replace(stored, policy=replace(stored.policy, calendar=_copy(new))))
    return new


def _copy(calendar: CalendarObject) -> Calendar:
    return Calendar(
        calendar.opening_hours,
        calendar.time_zone,
        calendar.country,
        tuple(calendar.closed_days),
        calendar.id,
        calendar.name,
    )


async def _calendar_of(tx: Tx, workspace_id: str, calendar_id: str | None) -> Calendar:
    if calendar_id is None:
        return Calendar()
    found = await store.get_calendar(tx, workspace_id, calendar_id)
    if found is None:
        message = "no calendar of this workspace has this id"
        raise ValidationFailed(field_error("calendar_id", "calendar_not_found", message))
    return _copy(found)


async def _check_escalations(tx: Tx, workspace_id: str, escalations: list[Escalation] | None) -> None:
    for n, escalation in enumerate(escalations or []):
        if escalation.assign_to is not None:
            await users.check_assignable(tx, workspace_id, escalation.assign_to, f"escalations.{n}.assign_to")


async def create(tx: Tx, workspace_id: str, body: PolicyIn) -> PolicyObject:
    """Adds a policy. Open tickets keep theirs until it is applied."""
    await store.lock(tx, workspace_id)
    await _check_escalations(tx, workspace_id, body.escalations)
    calendar = await _calendar_of(tx, workspace_id, body.calendar_id)
    await _check_room(tx, workspace_id)
    id_ = mint("sla")
    policy = Policy(id_, 1, body.name, rules.targets_of(body.targets), calendar, bool(body.pause_on_third_party))
    position = body.position or await _last_position(tx, workspace_id)
    stored = StoredPolicy(
        id_, 1, position, True, tx.now, tx.now, policy, body.conditions or Conditions(), body.escalations or []
    )
    await store.insert(tx, workspace_id, stored)
    return rules.view(stored)


async def _check_room(tx: Tx, workspace_id: str) -> None:
    """Every new ticket looks at all policies."""
    if len(await store.current(tx, workspace_id)) > MOST_POLICIES:
        raise Conflict("too_many_policies", f"A workspace has at most {MOST_POLICIES} policies beside the default")


async def _last_position(tx: Tx, workspace_id: str) -> int:
    taken = [policy.position for policy in await store.current(tx, workspace_id) if policy.position < LAST_POSITION]
    return min(max(taken, default=0) + 1, 1_000_000)


async def page(tx: Tx, workspace_id: str, asked: PageIn) -> Page[PolicyObject]:
    """The policies in the order in which they are tried, the default last."""
    found = [rules.view(policy) for policy in await store.current(tx, workspace_id)]
    return page_of(found[asked.offset : asked.offset + asked.per_page], len(found), asked)


async def get(tx: Tx, workspace_id: str, policy_id: str) -> PolicyObject:
    """The newest version of a policy."""
    return rules.view(await newest(tx, workspace_id, policy_id))


async def newest(tx: Tx, workspace_id: str, policy_id: str) -> StoredPolicy:
    """The newest version of a policy, as it is stored."""
    stored = await store.get(tx, workspace_id, policy_id)
    if stored is None:
        raise NotFound("policy_not_found", "SLA policy not found")
    return stored


async def update(tx: Tx, workspace_id: str, policy_id: str, body: PolicyPatch) -> PolicyObject:
    """Makes a new version with the fields given. The default keeps its place, is for all tickets and stays active."""
    await store.lock(tx, workspace_id)
    old = await newest(tx, workspace_id, policy_id)
    given = body.model_fields_set
    _check_default(policy_id, given)
    await _check_escalations(tx, workspace_id, body.escalations)
    policy = old.policy
    if "calendar_id" in given:
        policy = replace(policy, calendar=await _calendar_of(tx, workspace_id, body.calendar_id))
    if "name" in given:
        policy = replace(policy, name=body.name)
    if "targets" in given:
        policy = replace(policy, targets=rules.targets_of(body.targets))
    if "pause_on_third_party" in given:
        policy = replace(policy, pause_on_third_party=body.pause_on_third_party)
    new = replace(
        old,
        policy=policy,
        position=body.position if "position" in given else old.position,
        active=body.active if "active" in given else old.active,
        conditions=(body.conditions or Conditions()) if "conditions" in given else old.conditions,
        escalations=(body.escalations or []) if "escalations" in given else old.escalations,
    )
    return rules.view(old if new == old else await _next_version(tx, workspace_id, new))


def _check_default(policy_id: str, given: set[str]) -> None:
    if policy_id == DEFAULT_POLICY_ID and (wrong := sorted(given & {"position", "active", "conditions"})):
        message = "the default policy is tried last and for all tickets"
        raise ValidationFailed(*(field_error(name, "default_policy", message) for name in wrong))


async def _next_version(tx: Tx, workspace_id: str, stored: StoredPolicy) -> StoredPolicy:
    version = stored.version + 1
    new = replace(stored, version=version, updated_at=tx.now, policy=replace(stored.policy, version=version))
    await store.update(tx, workspace_id, new)
    return new


async def chosen(tx: Tx, workspace_id: str, tried: list[str], ticket: Traits) -> Policy:
    """The policy that a new ticket gets: the first of those that are `tried` (see the store) that is for it."""
    for one in tried:
        version, _, policy_id = one.partition(" ")
        stored = await version_of(tx, workspace_id, policy_id, int(version))
        if rules.matches(stored.conditions, ticket):
            return stored.policy
    raise AssertionError("the default policy is active and for all tickets")


async def version_of(tx: Tx, workspace_id: str, policy_id: str, version: int) -> StoredPolicy:
    """A version that a ticket holds."""
    key = (workspace_id, policy_id, version)
    if key not in _versions:
        stored = await store.get_version(tx, *key)
        assert stored is not None, "a ticket's policy version is kept by a foreign key"
        if len(_versions) >= _KEPT:
            _versions.clear()
        _versions[key] = stored
    return _versions[key]
