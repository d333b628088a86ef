"""Use cases of promises: explain a clock, tell what is due, apply a policy, replay what is stored."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from ticketry.core.actor import Actor, system
from ticketry.core.errors import Busy, TicketryError, ValidationFailed, field_error
from ticketry.db.pool import Tx
from ticketry.sla.alarms import Told
from ticketry.sla.explain import Explanation
from ticketry.sla.explain import explain as explained
from ticketry.sla.models import Fact, Policy
from ticketry.sla.policies import service as policies
from ticketry.sla.policies import store as policy_store
from ticketry.sla.policies.models import StoredPolicy
from ticketry.sla.policies.rules import Traits, called_for, choose
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.models import CloseIn, Ticket, TicketPatch
from ticketry.tickets.promises import rules, store
from ticketry.tickets.promises.models import Affected, Applied, Closing
from ticketry.tickets.promises.rules import Story
from ticketry.web.conditional import etag

BATCH = 500
MOST_NAMED = 1000
"""Tickets that an answer names; the counts are of all."""


async def explain(tx: Tx, actor: Actor, reference: str, at: datetime | None) -> Explanation:
    """Why the ticket's clock stands where it stands, now or at an instant of its past."""
    ticket = await tickets.get(tx, actor, reference)
    now = ticket_rules.moment(ticket, tx.now)
    if at is not None and at < ticket.created_at:
        raise ValidationFailed(field_error("at", "before_creation", "lies before the ticket was created"))
    if at is not None and at > now:
        raise ValidationFailed(field_error("at", "in_the_future", "lies in the future"))
    moment = now if at is None else at
    (story,) = await stories(tx, actor.workspace_id, [ticket])
    closes = [closing for closing in story.closings if closing.closed_at <= moment]
    return explained(await _held_at(tx, ticket, moment), story.facts, moment, story.earlier[: len(closes)])


async def _held_at(tx: Tx, ticket: Ticket, at: datetime) -> Policy:
    """The policy version that a ticket had at an instant, before what it was moved to later."""
    policy_id, version = ticket.sla_policy_id, ticket.sla_policy_version
    for from_id, from_version in await store.moves_after(tx, ticket.workspace_id, ticket.id, at):
        policy_id, version = from_id or policy_id, from_version or version
    return (await policies.version_of(tx, ticket.workspace_id, policy_id, version)).policy


async def stories(tx: Tx, workspace_id: str, found: Sequence[Ticket]) -> list[Story]:
    """All that the clocks of these tickets are computed from."""
    ids = [ticket.id for ticket in found]
    facts = await store.facts_of(tx, workspace_id, ids)
    closings: dict[str, list[Closing]] = {ticket_id: [] for ticket_id in ids}
    for closing in await store.closings(tx, workspace_id, ids):
        closings[closing.ticket_id].append(closing)
    return [await _story(tx, ticket, facts[ticket.id], closings[ticket.id]) for ticket in found]


async def _story(tx: Tx, ticket: Ticket, facts: list[Fact], closings: list[Closing]) -> Story:
    held = [
        await policies.version_of(tx, ticket.workspace_id, closing.sla_policy_id, closing.sla_policy_version)
        for closing in closings
    ]
    return Story(ticket, await tickets.policy_of(tx, ticket), facts, closings, [stored.policy for stored in held])


async def ring(tx: Tx, workspace_id: str, ticket_id: str) -> bool:
    """Tells what a ticket's clock has to tell by now, and does what its policy wants done about what was told."""
    actor = system(workspace_id, "SLA")
    owed = Told.NOTHING

    async def attempt(old: Ticket) -> Ticket | None:
        nonlocal owed
        owed, at = Told.NOTHING, ticket_rules.moment(old, tx.now)
        if old.next_alarm_at is None or old.next_alarm_at > at:
            return old
        new, owed = rules.rung(old, await tickets.policy_of(tx, old), at)
        return new if await tickets.record(tx, actor, old, new) else None

    ticket = await tickets.changing(tx, actor, ticket_id, None, attempt)
    held = await policies.version_of(tx, workspace_id, ticket.sla_policy_id, ticket.sla_policy_version)
    for escalation in called_for(held.escalations, owed):
        ticket = await tickets.get(tx, actor, ticket_id)
        await _escalate(tx, ticket, rules.wanted(ticket, escalation))
    return bool(owed)


async def _escalate(tx: Tx, ticket: Ticket, change: dict[str, object]) -> None:
    """Does what an escalation wants. Somebody who has left since cannot be given the ticket; the rest is done."""
    actor = system(ticket.workspace_id, "Escalation")
    if not change:
        return
    try:
        await tickets.update(tx, actor, ticket.id, TicketPatch.model_validate(change))
    except ValidationFailed:
        change.pop("assigned_to", None)
        if change:
            await tickets.update(tx, actor, ticket.id, TicketPatch.model_validate(change))


async def auto_close(tx: Tx, workspace_id: str, ticket_id: str, version: int) -> bool:
    """Closes a ticket that was resolved long enough; False if it was changed meanwhile."""
    actor = system(workspace_id, "Auto-close")
    try:
        await tickets.close(tx, actor, ticket_id, CloseIn(), etag(version))
    except TicketryError:
        return False
    return True


async def apply(tx: Tx, actor: Actor, policy_id: str, dry_run: bool) -> Applied:
    """Gives open tickets the newest version of a policy: those that would get it if they were opened now.

    Their clocks are what their history gives under it, but for what a close has made final. With `dry_run` nothing is
    changed.
    """
    wanted = await policies.newest(tx, actor.workspace_id, policy_id)
    current = await policy_store.current(tx, actor.workspace_id)
    moved: list[str] = []
    breached: list[str] = []
    saved: list[str] = []
    async for story in _open_tickets(tx, actor.workspace_id):
        pair = await _move(tx, actor, story, wanted, current, dry_run)
        if pair is None:
            continue
        old, new = pair
        number = ticket_rules.label(old.number)
        moved.append(number)
        before, after = (rules.breached(ticket, new.updated_at) for ticket in pair)
        if before != after:
            (breached if after else saved).append(number)
    return Applied(
        policy_id=policy_id,
        version=wanted.version,
        dry_run=dry_run,
        moved=Affected(count=len(moved), tickets=moved[:MOST_NAMED]),
        newly_breached=Affected(count=len(breached), tickets=breached[:MOST_NAMED]),
        saved=Affected(count=len(saved), tickets=saved[:MOST_NAMED]),
    )


def _is_for(ticket: Ticket, wanted: StoredPolicy, current: list[StoredPolicy]) -> bool:
    if ticket.status == "closed" or (ticket.sla_policy_id, ticket.sla_policy_version) == (wanted.id, wanted.version):
        return False
    traits = Traits(ticket.category, ticket.tags, ticket.contact_id, ticket.priority)
    return choose(current, traits).id == wanted.id


async def _open_tickets(tx: Tx, workspace_id: str) -> AsyncIterator[Story]:
    after = ""
    while found := await store.batch(tx, workspace_id, after, BATCH, only_open=True):
        for story in await stories(tx, workspace_id, found):
            yield story
        after = found[-1].id


async def _move(
    tx: Tx, actor: Actor, story: Story, wanted: StoredPolicy, current: list[StoredPolicy], dry_run: bool
) -> tuple[Ticket, Ticket] | None:
    """A ticket before and after it got the policy, None if the policy is not for it."""
    for _ in range(tickets.ATTEMPTS):
        old = story.ticket
        if not _is_for(old, wanted, current):
            return None
        new = rules.moved(story, wanted, ticket_rules.moment(old, tx.now))
        if dry_run or await tickets.record(tx, actor, old, new):
            return old, new
        (story,) = await stories(tx, actor.workspace_id, [await tickets.get(tx, actor, old.id)])
    raise Busy("ticket_busy", "A ticket is being changed by too many at once; try again")


async def replay(tx: Tx, workspace_id: str, found: Sequence[Ticket]) -> list[str]:
    """Computes what is stored of these tickets anew from their events; every difference in a line."""
    return [line for story in await stories(tx, workspace_id, found) for line in rules.differences(story)]
