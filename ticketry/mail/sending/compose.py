"""A mail made ready: whom it goes to, what it says, what its headers tell. Or why it is not sent.

Everything is looked up anew when a mail is first tried. What it says stays the same over all attempts; before each,
it is asked again whether the ticket is still that customer's, and which addresses are right. Nothing is sent from here.
"""

from dataclasses import dataclass

from ticketry.accounts.users import store as user_store
from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace
from ticketry.contacts import store as contact_store
from ticketry.db.pool import Tx
from ticketry.mail import threads
from ticketry.mail.sending import rules, store
from ticketry.mail.sending.messages import address_text, date_text, wire_address
from ticketry.mail.sending.models import NOTICE, Claimed
from ticketry.mail.store import secret
from ticketry.mail.wording import service as wording
from ticketry.mail.wording import store as wording_store
from ticketry.mail.wording.models import Content, StoredSettings
from ticketry.settings import Settings
from ticketry.tickets import store as ticket_store

NOBODY = "support@localhost"
"""Whom mail in the outbox comes from while no sender address is set anywhere."""
MOST_REFERENCES = 10


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that can be sent; or kept in the outbox, if `why_not` says why."""

    address: str
    message_id: str
    headers: list[list[str]]
    content: Content
    why_not: str | None


class Dropped(Exception):
    """The mail is not to be sent; the message says why."""


async def letter(tx: Tx, operator: Settings, mail: Claimed) -> Letter:
    """The mail as it is to be sent. Raises `Dropped` if it is not to be sent at all."""
    workspace = await workspaces.get(tx, mail.workspace_id)
    stored = await wording_store.settings(tx, mail.workspace_id)
    if not stored.enabled:
        raise Dropped("mail of this workspace is switched off")
    await _check_customer(tx, mail)
    name, address = await _recipient(tx, mail)
    sender = _sender(operator, stored)
    await _check_loops(tx, operator, mail, address)
    content = await _content(tx, workspace, stored, mail)
    message_id, references = await _thread(tx, mail, sender)
    headers = [
        ["From", address_text(wording.sender_name(workspace, stored), sender)],
        ["To", address_text(name, address)],
        *await _answers(tx, mail, stored),
        ["Subject", content.subject],
        ["Date", date_text(tx.now)],
        *([["In-Reply-To", references[-1]], ["References", " ".join(references)]] if references else []),
        *_machine(mail),
        *_unsubscribe(mail, stored.reply_to or sender),
    ]
    return Letter(address, message_id, headers, content, _why_not_delivered(operator, workspace, mail))


def _why_not_delivered(operator: Settings, workspace: Workspace, mail: Claimed) -> str | None:
    if operator.smtp_host is None:
        return "no SMTP server is set"
    if workspace.environment == "test" and not mail.wanted:
        return "mail of a test workspace is kept"
    return None


async def addresses(tx: Tx, operator: Settings, mail: Claimed) -> tuple[str, str]:
    """From where and to where the mail goes as things stand. Raises `Dropped` if it is to go nowhere."""
    await _check_customer(tx, mail)
    stored = await wording_store.settings(tx, mail.workspace_id)
    return _sender(operator, stored), (await _recipient(tx, mail))[1]


def _sender(operator: Settings, stored: StoredSettings) -> str:
    return stored.sender_address or operator.mail_sender or NOBODY


async def _check_customer(tx: Tx, mail: Claimed) -> None:
    """A customer is told of their own tickets alone, also when a mail is tried or asked for again."""
    if mail.recipient_type == "contact" and mail.ticket_id is not None:
        ticket = await ticket_store.get(tx, mail.workspace_id, mail.ticket_id)
        if ticket is None or ticket.contact_id != mail.recipient_id:
            raise Dropped("the ticket is no longer this customer's")


async def _recipient(tx: Tx, mail: Claimed) -> tuple[str, str]:
    """Name and address of the one person that the mail is for."""
    if mail.recipient_type == "user":
        user = await user_store.get(tx, mail.workspace_id, mail.recipient_id)
        if user is None or not user.active:
            raise Dropped("this user is no longer active")
        return user.name, user.email
    contact = await contact_store.get(tx, mail.workspace_id, mail.recipient_id)
    if contact is None or contact.email is None:
        raise Dropped("the contact has no mail address")
    return contact.name, contact.email


async def _check_loops(tx: Tx, operator: Settings, mail: Claimed, address: str) -> None:
    """No mail to ourselves, to machines, or to somebody whose machine seems to answer each of our mails."""
    if rules.is_robot(address):
        raise Dropped("nobody reads mail to this address")
    base = rules.base_address(address)
    if base == rules.base_address(operator.mail_sender or NOBODY) or await store.is_own(tx, base):
        raise Dropped("this is an address of our own")
    if mail.wanted or mail.ticket_id is None:
        return
    since = tx.now - rules.LIMIT_PERIOD
    told = await store.told_lately(tx, mail.workspace_id, mail.recipient_id, since, ticket_id=mail.ticket_id)
    if told >= rules.MOST_ABOUT_A_TICKET:
        raise Dropped(f"{told} mails about this ticket went there within the hour")
    if mail.kind == "received":
        told = await store.told_lately(tx, mail.workspace_id, mail.recipient_id, since, kind="received")
        if told >= rules.MOST_RECEIPTS:
            raise Dropped(f"{told} tickets were opened from there within the hour")


async def _content(tx: Tx, workspace: Workspace, stored: StoredSettings, mail: Claimed) -> Content:
    """What the mail says; once it has been said it stays."""
    if mail.subject is not None and mail.body_text is not None:
        if mail.body_html is None:
            return await wording.notice(workspace, stored, mail.subject, mail.body_text)
        return Content(mail.subject, mail.body_text, mail.body_html)
    if mail.kind == NOTICE or mail.event_id is None:
        raise Dropped("it has nothing to say")
    about = await wording_store.about(tx, mail.workspace_id, mail.event_id)
    if about is None:
        raise Dropped("the ticket is gone")
    kind = wording.known(mail.kind)
    comment = None
    if mail.comment_id is not None:
        comment = await wording_store.comment(tx, mail.workspace_id, mail.comment_id)
        if comment is None:
            raise Dropped("the comment is gone")
    return await wording.words(tx, workspace, stored, kind, about, comment)


async def _thread(tx: Tx, mail: Claimed, sender: str) -> tuple[str, list[str]]:
    """The mail's own id, and those that it follows: first one that all mails about the ticket share."""
    domain = wire_address(sender).rpartition("@")[2]
    unique = f"{mail.id}_{mail.attempts_before}" if mail.attempts_before else mail.id
    if mail.ticket_id is None:
        return f"<{unique}@{domain}>", []
    key = await secret(tx)
    shared = threads.message_id(key, mail.workspace_id, mail.ticket_id, "ticket", domain)
    earlier = await store.thread(tx, mail.workspace_id, mail.ticket_id, mail.recipient_id, MOST_REFERENCES)
    return threads.message_id(key, mail.workspace_id, mail.ticket_id, unique, domain), [shared, *earlier]


async def _answers(tx: Tx, mail: Claimed, stored: StoredSettings) -> list[list[str]]:
    """Where answers go: to the address that Ticketry reads, which then names the ticket; else where it was set."""
    if mail.ticket_id is not None and stored.inbound_address is not None:
        key = await secret(tx)
        signed = threads.reply_address(key, mail.workspace_id, mail.ticket_id, stored.inbound_address)
        return [["Reply-To", signed]]
    return [["Reply-To", stored.reply_to]] if stored.reply_to is not None else []


def _machine(mail: Claimed) -> list[list[str]]:
    """What keeps machines from answering. A reply is what a person says, and is taken for that by mail filters.

    Not "All": it would keep the reports back that a mail could not be delivered.
    """
    submitted = {"replied": [], "received": [["Auto-Submitted", "auto-replied"]]}
    told = submitted.get(mail.kind, [["Auto-Submitted", "auto-generated"]])
    return [*told, ["X-Auto-Response-Suppress", "OOF, AutoReply"]]


def _unsubscribe(mail: Claimed, address: str) -> list[list[str]]:
    """Agents get notices of a kind, so there is a way to be rid of them (RFC 2369): a mail to who runs the desk.

    Customers get mail about their own request alone, which is no list. One-click unsubscribing (RFC 8058) asks for a
    page, which the program does not have.
    """
    return [["List-Unsubscribe", f"<mailto:{address}?subject=Unsubscribe>"]] if mail.recipient_type == "user" else []
