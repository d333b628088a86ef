"""Use cases of comments."""

from dataclasses import replace
from datetime import datetime

from ticketry.accounts.users import service as users
from ticketry.accounts.workspaces import service as workspaces
from ticketry.attachments import service as attachments
from ticketry.attachments.models import Attachment
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor, system
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.comments import rules, store
from ticketry.tickets.comments.models import Comment, CommentIn, Visibility
from ticketry.tickets.links import rules as link_rules
from ticketry.tickets.models import Ticket, TicketIn


async def page(tx: Tx, actor: Actor, reference: str, only: Visibility | None, asked: PageIn) -> Page[Comment]:
    """The comments of a ticket, oldest first; `only` one kind of them."""
    ticket = await tickets.get(tx, actor, reference)
    found = await store.page(tx, actor.workspace_id, ticket.id, only, asked)
    files = await attachments.of_comments(tx, actor.workspace_id, [comment.id for comment in found])
    for comment in found:
        comment.attachments = files.get(comment.id, [])
    return page_of(found, await store.count(tx, actor.workspace_id, ticket.id, only), asked)


async def add(tx: Tx, actor: Actor, reference: str | Ticket, body: CommentIn, if_match: str | None = None) -> Comment:
    """Says something on a ticket.

    A customer's comment wakes a waiting ticket and reopens a resolved one, and a closed one within the workspace's
    reopen window; after it the comment stands on a new ticket, linked by `follow_up_of`. On a closed duplicate whose
    original is still worked on it does neither, see `_on_duplicate`.
    """
    speaker = await _speaker(tx, actor, body)
    files = await attachments.pick(tx, actor.workspace_id, body.attachment_ids)
    window = (await workspaces.get(tx, actor.workspace_id)).reopen_window_days

    async def attempt(old: Ticket) -> Comment | None:
        by_customer = speaker.type == "contact"
        if by_customer and (original := await _original_at_work(tx, old)) is not None:
            return await _on_duplicate(tx, actor, speaker, old, original, body, files)
        wanted = rules.effect(old, by_customer, tx.now, window)
        if wanted == "follow_up":
            old, wanted = await _follow_up(tx, speaker, old), "none"
        return await _say(tx, speaker, old, body, files, wanted)

    return await tickets.changing(tx, actor, reference, if_match, attempt)


async def _say(
    tx: Tx, speaker: Actor, old: Ticket, body: CommentIn, files: list[Attachment], wanted: rules.Effect
) -> Comment | None:
    """The comment with its files and what it does to the ticket. None if somebody else was quicker."""
    customer = speaker.id if speaker.type == "contact" else None
    attachments.check_fit(files, body.attachment_ids, customer, old.contact_id)
    comment = _comment(speaker, old, body, files, ticket_rules.moment(old, tx.now))
    new = rules.commented(old, await tickets.policy_of(tx, old), comment, wanted, tx.now)
    if not await tickets.record(tx, speaker, old, new, comment):
        return None
    await _attach(tx, speaker, files, comment, customer)
    return comment


async def _attach(tx: Tx, actor: Actor, files: list[Attachment], comment: Comment, customer: str | None) -> None:
    await attachments.attach(
        tx,
        actor.workspace_id,
        files,
        ticket_id=comment.ticket_id,
        comment_id=comment.id,
        visibility=comment.visibility,
        contact_id=customer,
    )


async def _speaker(tx: Tx, actor: Actor, body: CommentIn) -> Actor:
    """The actor as whom the comment is made."""
    if body.contact_id is not None:
        if body.user_id is not None:
            raise ValidationFailed(field_error("user_id", "two_authors", "name either user_id or contact_id"))
        if body.visibility == "internal":
            raise ValidationFailed(field_error("visibility", "customer_is_public", "a customer's comment is public"))
        contact = await contacts.check_exists(tx, actor.workspace_id, body.contact_id, "contact_id")
        return replace(actor, type="contact", id=contact.id, name=contact.name)
    if body.user_id is not None:
        user = await users.check_assignable(tx, actor.workspace_id, body.user_id, "user_id")
        return replace(actor, type="user", id=user.id, name=user.name)
    return actor


async def _original_at_work(tx: Tx, ticket: Ticket) -> Ticket | None:
    """The final original of a closed duplicate, unless it is closed too."""
    if ticket.status != "closed" or ticket.duplicate_of is None:
        return None
    original = (await tickets.chain_from(tx, system(ticket.workspace_id), ticket.duplicate_of, "duplicate_of"))[-1]
    return None if original.status == "closed" else original


async def _on_duplicate(
    tx: Tx,
    actor: Actor,
    speaker: Actor,
    duplicate: Ticket,
    original: Ticket,
    body: CommentIn,
    files: list[Attachment],
) -> Comment | None:
    """A customer's word on a closed duplicate while the original is worked on.

    If the original is that customer's too, it is said there. Else it stays on the duplicate, where no other customer
    reads it, and a note on the original points to it. None if somebody else was quicker.
    """
    if original.contact_id == speaker.id:
        return await add(tx, actor, original.id, body)
    comment = await _say(tx, speaker, duplicate, body, files, "none")
    if comment is None:
        return None
    note = link_rules.on_word(duplicate)
    await tickets.link_side(tx, system(actor.workspace_id), original.id, "duplicated_by", None, note=note)
    return comment


def _comment(speaker: Actor, ticket: Ticket, body: CommentIn, files: list[Attachment], at: datetime) -> Comment:
    return Comment(
        id=mint("comment"),
        ticket_id=ticket.id,
        body=body.body,
        visibility=body.visibility or "public",
        author=tickets.author_of(speaker),
        created_at=at,
        attachments=[one.item() for one in files],
    )


async def _follow_up(tx: Tx, speaker: Actor, closed: Ticket) -> Ticket:
    """A new ticket that goes on from a closed one: its contact's while there is one, else of the one who asks."""
    holder = closed.contact_id
    if holder is None or not await contacts.is_living(tx, closed.workspace_id, holder):
        holder = speaker.id
    return await tickets.create(
        tx,
        speaker,
        TicketIn(
            subject=closed.subject,
            description=f"Follow-up of {ticket_rules.label(closed.number)}.",
            priority=closed.priority,
            category=closed.category,
            contact_id=holder,
            tags=closed.tags,
        ),
        follow_up_of=closed.id,
    )
