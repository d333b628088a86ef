"""Use cases of mail out: planning from events, notices to admins, and looking at what was sent."""

from collections.abc import Sequence

from ticketry.core.actor import Actor
from ticketry.core.errors import Conflict, NotFound
from ticketry.db.paging import Page, page_of
from ticketry.db.pool import Tx
from ticketry.feed.models import Settled
from ticketry.mail.sending import rules, store
from ticketry.mail.sending.models import NOTICE, MessageItem, MessageObject, MessagesAsked, NewMail
from ticketry.mail.wording import store as wording_store
from ticketry.mail.wording.models import Content
from ticketry.mail.wording.templates import one_line
from ticketry.tickets import service as tickets

MAILED = frozenset(
    {
        "ticket.created",
        "ticket.commented",
        "ticket.resolved",
        "ticket.closed",
        "ticket.reopened",
        "ticket.assigned",
        "ticket.sla_warning",
        "ticket.sla_breached",
    }
)
"""Events that somebody may have to be told of."""
LONGEST_NOTICE = 10_000


async def plan(tx: Tx, events: Sequence[Settled]) -> None:
    """The relay's subscriber: writes the mails that a batch of events calls for. They are sent later, see `jobs`."""
    told = [(event.workspace_id, event.id) for event in events if event.type in MAILED]
    if not told:
        return
    news = await store.news(tx, told)
    promises = {one.workspace_id for one in news if one.target is not None and one.assigned_to is None}
    admins = await store.admins(tx, sorted(promises)) if promises else {}
    if mails := rules.wanted(news, admins, tx.now):
        await store.insert(tx, mails)


async def to_admins(tx: Tx, workspace_id: str, subject: str, text: str) -> int:
    """Tells the workspace's active admins something about the workspace; how many of them.

    `text` is Markdown. The mails are sent after the caller's transaction has committed. Nobody is told where mail is
    switched off or there is no admin: what matters must also be seen elsewhere.
    """
    if not (await wording_store.settings(tx, workspace_id)).enabled:
        return 0
    found = (await store.admins(tx, [workspace_id])).get(workspace_id, [])[: rules.MOST_ADMINS]
    mails = [NewMail(workspace_id, NOTICE, "user", user_id) for user_id in found]
    content = Content(one_line(subject)[:200], text[:LONGEST_NOTICE], "")
    return await store.insert(tx, mails, content) if mails else 0


async def page(tx: Tx, actor: Actor, asked: MessagesAsked) -> Page[MessageItem]:
    """The workspace's mails, newest first."""
    ticket_id = None
    if asked.ticket_id is not None:
        try:
            ticket_id = (await tickets.get(tx, actor, asked.ticket_id)).id
        except NotFound:
            return page_of([], 0, asked)
    found, total = await store.page(tx, actor.workspace_id, asked.status, ticket_id, asked.per_page, asked.offset)
    return page_of(found, total, asked)


async def get(tx: Tx, workspace_id: str, message_id: str) -> MessageObject:
    """One mail with every attempt to send it."""
    found = await store.get(tx, workspace_id, message_id)
    if found is None:
        raise NotFound("message_not_found", "Mail not found")
    return found


async def send_again(tx: Tx, workspace_id: str, message_id: str, *, smtp: bool) -> MessageObject:
    """Has a mail sent once more, wherever it ended: in the outbox, failed, skipped or sent."""
    await get(tx, workspace_id, message_id)
    if not smtp:
        raise Conflict("mail_not_configured", "No SMTP server is set, so nothing can be sent")
    if not await store.send_again(tx, workspace_id, message_id):
        raise Conflict("mail_pending", "This mail is about to be sent already")
    return await get(tx, workspace_id, message_id)
