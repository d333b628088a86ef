"""Which policy a ticket gets, and how a policy is shown."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ticketry.core.errors import ValidationFailed, field_error
from ticketry.sla.alarms import SUBJECTS, Told
from ticketry.sla.business_time import CalendarError, check_calendar
from ticketry.sla.models import Target
from ticketry.sla.policies.models import (
    DEFAULT_POLICY_ID,
    Conditions,
    Escalation,
    PolicyObject,
    StoredPolicy,
    TargetIn,
)


class Traits(NamedTuple):
    """What conditions look at in a ticket."""

    category: str | None
    tags: list[str]
    contact_id: str | None
    priority: int


def matches(conditions: Conditions, ticket: Traits) -> bool:
    """Whether a policy with these conditions is for this ticket."""
    return (
        (not conditions.category or ticket.category in conditions.category)
        and (not conditions.tags or not set(conditions.tags).isdisjoint(ticket.tags))
        and (not conditions.contact_id or ticket.contact_id in conditions.contact_id)
        and (not conditions.priority or ticket.priority in conditions.priority)
    )


def choose(policies: Iterable[StoredPolicy], ticket: Traits) -> StoredPolicy:
    """The first of the policies, in their order, that is for this ticket. The default, which is last, is for all."""
    return next(policy for policy in policies if policy.active and matches(policy.conditions, ticket))


def targets_of(given: Mapping[str, TargetIn]) -> dict[int, Target]:
    """Targets as the clock wants them."""
    return {int(priority): Target(target.response, target.resolution) for priority, target in given.items()}


def check(opening_hours: str, time_zone: str, country: str | None) -> None:
    """Raises `ValidationFailed` that names the field, with the parser's own words."""
    try:
        check_calendar(opening_hours, time_zone, country)
    except CalendarError as error:
        raise ValidationFailed(field_error(error.field, "invalid_calendar", error.message)) from None


def called_for(escalations: Iterable[Escalation], told: Told) -> list[Escalation]:
    """What is to be done about what was told, warnings first."""
    subjects = [(target, kind) for bit, target, kind in SUBJECTS if bit & told]
    given = list(escalations)
    return [e for target, kind in subjects for e in given if e.on == kind and e.target in {None, target}]


def view(stored: StoredPolicy) -> PolicyObject:
    """The policy as it is shown."""
    is_default = stored.id == DEFAULT_POLICY_ID
    return PolicyObject(
        id=stored.id,
        name=stored.policy.name,
        version=stored.version,
        position=None if is_default else stored.position,
        is_default=is_default,
        active=stored.active,
        calendar_id=stored.policy.calendar.id,
        targets=shown_targets(stored.policy.targets),
        pause_on_third_party=stored.policy.pause_on_third_party,
        conditions=stored.conditions,
        escalations=stored.escalations,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def shown_targets(targets: Mapping[int, Target]) -> dict[str, TargetIn]:
    """Targets as they are sent and stored."""
    return {str(p): TargetIn(response=t.response, resolution=t.resolution) for p, t in targets.items()}
