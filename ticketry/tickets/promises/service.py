"""Use cases of promises: explain a clock, tell what is due, apply a policy, replay what is stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

from ticketry.core.actor import Actor, system
from ticketry.core.errors import TicketryError, ValidationFailed, field_error
from ticketry.db.pool import Tx
from ticketry.sla import rules as sla
from ticketry.sla.alarms import Told, due
from ticketry.sla.explain import Explanation
from ticketry.sla.explain import explain as explained
from ticketry.sla.models import Fact
from ticketry.sla.policies import service as policies
from ticketry.sla.policies import store as policy_store
from ticketry.sla.policies.models import StoredPolicy
from ticketry.sla.policies.rules import Traits, called_for, choose
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.models import CloseIn, Ticket, TicketPatch
from ticketry.tickets.promises import rules, store
from ticketry.tickets.promises.models import Affected, Applied
from ticketry.web.conditional import etag

BATCH = 500


async def explain(tx: Tx, actor: Actor, reference: str, at: datetime | None) -> Explanation:
    """Why the ticket's clock stands where it stands, now or at an instant of its past."""
    ticket = await tickets.get(tx, actor, reference)
    if at is not None and at < ticket.created_at:
        raise ValidationFailed(field_error("at", "before_creation", "lies before the ticket was created"))
    moment = tx.now if at is None else at
    facts = (await store.facts_of(tx, actor.workspace_id, [ticket.id]))[ticket.id]
    known = [fact for fact in facts if fact.at <= moment]
    return explained(await tickets.policy_of(tx, ticket), known, moment)


async def ring(tx: Tx, workspace_id: str, ticket_id: str) -> bool:
    """Tells what a ticket's clock has to tell by now, and does what its policy wants done about it."""
    actor = system(workspace_id, "SLA")
    alarms = []

    async def attempt(old: Ticket) -> Ticket | None:
        nonlocal alarms
        at = ticket_rules.moment(old, tx.now)
        if old.next_alarm_at is None or old.next_alarm_at > at:
            return old
        policy = await tickets.policy_of(tx, old)
        alarms = due(policy, ticket_rules.clock_of(old), Told(old.alarms), at)
        new = ticket_rules.change(old, policy, at)
        return new if await tickets.record(tx, actor, old, new) else None

    ticket = await tickets.changing(tx, actor, ticket_id, None, attempt)
    held = await policies.version_of(tx, workspace_id, ticket.sla_policy_id, ticket.sla_policy_version)
    for escalation in [e for alarm in alarms for e in called_for(held.escalations, alarm)]:
        ticket = await tickets.get(tx, actor, ticket_id)
        await _escalate(tx, ticket, rules.wanted(ticket, escalation))
    return bool(alarms)


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

    Their clocks are what their history gives under it. With `dry_run` nothing is changed.
    """
    wanted = await policies.newest(tx, actor.workspace_id, policy_id)
    current = await policy_store.current(tx, actor.workspace_id)
    moved: list[str] = []
    breached: list[str] = []
    saved: list[str] = []
    async for ticket, facts in _open_tickets(tx, actor.workspace_id):
        if not _is_for(ticket, wanted, current):
            continue
        number = ticket_rules.label(ticket.number)
        before = sla.seen(ticket_rules.clock_of(ticket), tx.now).breached
        after = sla.seen(sla.fold(wanted.policy, facts), tx.now).breached
        moved.append(number)
        if before != after:
            (breached if after else saved).append(number)
        if not dry_run:
            await _move(tx, actor, ticket.id, wanted)
    return Applied(
        policy_id=policy_id,
        version=wanted.version,
        dry_run=dry_run,
        moved=Affected(count=len(moved), tickets=moved),
        newly_breached=Affected(count=len(breached), tickets=breached),
        saved=Affected(count=len(saved), tickets=saved),
    )


def _is_for(ticket: Ticket, wanted: StoredPolicy, current: list[StoredPolicy]) -> bool:
    if (ticket.sla_policy_id, ticket.sla_policy_version) == (wanted.id, wanted.version):
        return False
    traits = Traits(ticket.category, ticket.tags, ticket.contact_id, ticket.priority)
    return choose(current, traits).id == wanted.id


async def _open_tickets(tx: Tx, workspace_id: str) -> AsyncIterator[tuple[Ticket, list[Fact]]]:
    after = ""
    while found := await store.batch(tx, workspace_id, after, BATCH, only_open=True):
        facts = await store.facts_of(tx, workspace_id, [ticket.id for ticket in found])
        for ticket in found:
            yield ticket, facts[ticket.id]
        after = found[-1].id


async def _move(tx: Tx, actor: Actor, ticket_id: str, wanted: StoredPolicy) -> None:
    async def attempt(old: Ticket) -> Ticket | None:
        facts = (await store.facts_of(tx, actor.workspace_id, [ticket_id]))[ticket_id]
        new = rules.moved(old, wanted, sla.fold(wanted.policy, facts))
        new = replace(new, version=old.version + 1, updated_at=ticket_rules.moment(old, tx.now))
        return new if await tickets.record(tx, actor, old, new) else None

    await tickets.changing(tx, actor, ticket_id, None, attempt)


async def replay(tx: Tx, workspace_id: str, found: list[Ticket]) -> list[str]:
    """Computes what is stored of these tickets anew from their events; every difference in a line."""
    ids = [ticket.id for ticket in found]
    facts = await store.facts_of(tx, workspace_id, ids)
    lines = []
    for ticket in found:
        clock = sla.fold(await tickets.policy_of(tx, ticket), facts[ticket.id])
        wrong = rules.differences(ticket, clock, rules.COMPARED)
        lines += [f"{ticket_rules.label(ticket.number)} {text}" for text in wrong]
    for row in await store.final_results(tx, workspace_id, ids):
        lines += await _replay_final(tx, workspace_id, row, facts[row[0]])
    return lines


async def _replay_final(tx: Tx, workspace_id: str, row: tuple[object, ...], facts: list[Fact]) -> list[str]:
    ticket_id, cycle, _, *results, policy_id, version = row
    held = await policies.version_of(tx, workspace_id, str(policy_id), int(str(version)))
    clock = sla.begin(held.policy, facts[0])
    for fact in facts[1:]:
        if clock.cycle == cycle and clock.status == "closed":
            break
        clock = sla.step(held.policy, clock, fact)
    stored = SimpleNamespace(**dict(zip(rules.FINAL, results, strict=True)))
    return [f"{ticket_id} cycle {cycle} {text}" for text in rules.differences(stored, clock, rules.FINAL)]
