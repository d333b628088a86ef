"""Use cases of links. Closing as a duplicate is `tickets.service.close`."""

from ticketry.core.actor import Actor
from ticketry.core.errors import NotFound
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.links import rules, store
from ticketry.tickets.links.models import BACK, Link, LinkEnd, LinkIn, LinkType
from ticketry.tickets.models import Ticket
from ticketry.web import conditional


async def page(tx: Tx, actor: Actor, reference: str, asked: PageIn) -> Page[Link]:
    """The links of a ticket, those of other tickets to it too."""
    ticket = await tickets.get(tx, actor, reference)
    found = await store.page(tx, actor.workspace_id, ticket.id, asked)
    return page_of(found, await store.count(tx, actor.workspace_id, ticket.id), asked)


async def add(tx: Tx, actor: Actor, reference: str, body: LinkIn, if_match: str | None = None) -> Link:
    """Links a ticket to another; a duplicate is linked to the final original.

    Raises `link_exists` and `link_cycle`; both tickets tell of it in their history.
    """
    duplicates = await tickets.chain_from(tx, actor, body.ticket_id, "ticket_id")
    other = duplicates[-1] if body.type == "duplicate_of" else duplicates[0]
    chain = duplicates
    if body.type != "duplicate_of":
        chain = await store.chain(tx, actor.workspace_id, other.id, "follow_up_of")
    ticket = await _held(tx, actor, reference)
    conditional.check(if_match, ticket.version, "stale_ticket")
    rules.check_new(ticket, body.type, chain, "ticket_id")
    if body.type == "related_to":
        if await store.related(tx, actor.workspace_id, ticket.id, other.id):
            raise rules.link_exists("related_to", other.id)
        await store.relate(tx, actor.workspace_id, ticket.id, other.id)
    await _both_sides(tx, actor, ticket, body.type, other, made=True)
    return _link(body.type, other, other)


async def remove(
    tx: Tx, actor: Actor, reference: str, kind: LinkType, other_reference: str, if_match: str | None = None
) -> Link:
    """Removes a link, from whichever of its ends. Raises `link_not_found`."""
    await store.lock(tx, actor.workspace_id)
    ticket = await _held(tx, actor, reference)
    chain = await store.chain(tx, actor.workspace_id, other_reference)
    if not chain or not await _linked(tx, ticket, kind, chain[0]):
        raise NotFound("link_not_found", "Link not found")
    conditional.check(if_match, ticket.version, "stale_ticket")
    if kind == "related_to":
        await store.part(tx, actor.workspace_id, ticket.id, chain[0].id)
    await _both_sides(tx, actor, ticket, kind, chain[0], made=False)
    return _link(kind, chain[0], chain[-1])


async def _held(tx: Tx, actor: Actor, reference: str) -> Ticket:
    """The ticket, kept as it is until the transaction ends: what is checked of it now is true when it is written."""
    ticket = await tickets.get(tx, actor, reference)
    await store.hold(tx, actor.workspace_id, ticket.id)
    return await tickets.get(tx, actor, ticket.id)


async def _linked(tx: Tx, ticket: Ticket, kind: LinkType, other: Ticket) -> bool:
    if kind == "related_to":
        return await store.related(tx, ticket.workspace_id, ticket.id, other.id)
    if kind in rules.HELD:
        return bool(getattr(ticket, kind) == other.id)
    return bool(getattr(other, BACK[kind]) == ticket.id)


async def _both_sides(tx: Tx, actor: Actor, ticket: Ticket, kind: LinkType, other: Ticket, *, made: bool) -> None:
    await tickets.link_side(tx, actor, ticket.id, kind, other, made=made)
    await tickets.link_side(tx, actor, other.id, BACK[kind], ticket, made=made)


def _link(kind: LinkType, other: Ticket, end: Ticket) -> Link:
    number = ticket_rules.label(other.number)
    original = None
    if kind == "duplicate_of" and end.id != other.id:
        original = LinkEnd(ticket_id=end.id, number=ticket_rules.label(end.number))
    return Link(
        type=kind, ticket_id=other.id, number=number, subject=other.subject, status=other.status, original=original
    )
