"""Use cases of comments."""

from dataclasses import replace
from datetime import datetime

from ticketry.accounts.users import service as users
from ticketry.accounts.workspaces import service as workspaces
from ticketry.attachments import service as attachments
from ticketry.attachments.models import Attachment
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor
from ticketry.core.errors import ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.comments import rules, store
from ticketry.tickets.comments.models import Comment, CommentIn, Visibility
from ticketry.tickets.models import Ticket, TicketIn


async def page(tx: Tx, actor: Actor, reference: str, only: Visibility | None, asked: PageIn) -> Page[Comment]:
    """The comments of a ticket, oldest first; `only` one kind of them."""
    ticket = await tickets.get(tx, actor, reference)
    found = await store.page(tx, actor.workspace_id, ticket.id, only, asked)
    files = await attachments.of_comments(tx, actor.workspace_id, [comment.id for comment in found])
    for comment in found:
        comment.attachments = files.get(comment.id, [])
    return page_of(found, await store.count(tx, actor.workspace_id, ticket.id, only), asked)


async def add(tx: Tx, actor: Actor, reference: str, body: CommentIn, if_match: str | None = None) -> Comment:
    """Says something on a ticket.

    A customer's comment wakes a waiting ticket and reopens a resolved one, and a closed one within the workspace's
    reopen window; after it the comment stands on a new ticket, linked by `follow_up_of`.
    """
    speaker = await _speaker(tx, actor, body)
    files = await attachments.pick(tx, actor.workspace_id, body.attachment_ids)
    customer = speaker.id if speaker.type == "contact" else None
    window = (await workspaces.get(tx, actor.workspace_id)).reopen_window_days

    async def attempt(old: Ticket) -> Comment | None:
        wanted = rules.effect(old, speaker.type == "contact", tx.now, window)
        if wanted == "follow_up":
            old, wanted = await _follow_up(tx, speaker, old), "none"
        attachments.check_fit(files, body.attachment_ids, customer, old.contact_id)
        comment = _comment(speaker, old, body, files, ticket_rules.moment(old, tx.now))
        new = rules.commented(old, await tickets.policy_of(tx, old), comment, wanted, tx.now)
        if not await tickets.record(tx, speaker, old, new, comment):
            return None
        await _attach(tx, actor, files, comment, customer)
        return comment

    return await tickets.changing(tx, actor, reference, if_match, attempt)


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
