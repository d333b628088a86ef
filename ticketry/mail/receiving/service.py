"""What becomes of a mail: the use cases of mail in.

What is trusted: a signed message id or reply address proves that the sender has seen a mail about the ticket, nothing
proves who the sender is. So whoever bears a signature may speak on that ticket, as the one whose address stands in
From; a ticket's number in the subject, which anybody can guess, counts only for those who are part of the ticket
already; and a user of the workspace is taken for one only with a signature.
"""

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from ticketry.accounts.users import service as users
from ticketry.accounts.users.models import Email
from ticketry.attachments.models import Visibility
from ticketry.contacts import service as contacts
from ticketry.contacts.models import Contact
from ticketry.core.actor import Actor, system
from ticketry.core.errors import NotFound
from ticketry.db.paging import Page, page_of
from ticketry.db.pool import Tx
from ticketry.mail import threads
from ticketry.mail.receiving import rules, store
from ticketry.mail.receiving.models import (
    Arrival,
    Header,
    Inbound,
    InboundAsked,
    InboundDetail,
    Kept,
    MatchedBy,
    Outcome,
    Received,
)
from ticketry.mail.receiving.reading.read_mail import ReadMail
from ticketry.mail.store import secret as installation_secret
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.comments import service as comments
from ticketry.tickets.comments.models import CommentIn
from ticketry.tickets.models import Ticket, TicketIn

MISFIT = "Mail that could not be understood"
UNTOLD = "What this mail says could not be told from what it quotes, so the customer does not see it."
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a mail is."""

    ticket: Ticket | None
    matched_by: MatchedBy | None
    automatic: rules.Automatic | None
    returned: bool
    """Whether it is a mail of ours that came back."""


@dataclass(frozen=True, slots=True)
class _Became:
    """What it became."""

    outcome: Outcome
    ticket: Ticket | None = None
    comment_id: str | None = None
    contact_id: str | None = None


async def known(tx: Tx, workspace_id: str, fingerprint: str) -> Received | None:
    """What became of the same mail when it came before."""
    before = await store.by_fingerprint(tx, workspace_id, fingerprint)
    return None if before is None else _told(before)


def _told(before: Kept) -> Received:
    told = store.as_inbound(before).model_dump(include=set(Received.model_fields) - {"outcome"})
    return Received(outcome="duplicate", mail_id=before.id, **told)


async def receive(tx: Tx, actor: Actor, arrival: Arrival) -> Received:
    """Makes of a mail what it is to become: a comment, a ticket, or a note that it came. The same mail only once."""
    workspace_id = actor.workspace_id
    await store.lock(tx, workspace_id, arrival.mail.fingerprint)
    if (before := await known(tx, workspace_id, arrival.mail.fingerprint)) is not None:
        return before
    judged = await _judge(tx, actor, arrival)
    became = await _become(tx, actor, arrival, judged)
    automatic = None if judged.automatic is None else judged.automatic.why
    matched_by = judged.matched_by if judged.ticket is not None else None
    received = Received(
        outcome=became.outcome,
        mail_id=arrival.mail_id,
        ticket_id=became.ticket and became.ticket.id,
        number=became.ticket and ticket_rules.label(became.ticket.number),
        comment_id=became.comment_id,
        contact_id=became.contact_id,
        matched_by=matched_by,
        automatic="it is a mail of ours that came back" if judged.returned else automatic,
        problem=arrival.mail.problem,
    )
    await store.insert(
        tx, workspace_id, arrival, became.outcome, matched_by=matched_by, automatic=received.automatic,
        ticket_id=received.ticket_id, comment_id=became.comment_id, contact_id=became.contact_id,
    )  # fmt: skip
    return received


async def _judge(tx: Tx, actor: Actor, arrival: Arrival) -> _Judged:
    mail = arrival.mail
    if mail.problem is not None:
        return _Judged(None, None, None, returned=False)
    secret = await installation_secret(tx)
    ours = threads.ticket_named_by_references(secret, actor.workspace_id, mail.all_of("Message-ID"))
    own = [*await store.own_addresses(tx, actor.workspace_id), *arrival.own_addresses]
    automatic = rules.automatic(mail, own)
    if ours is not None:
        return _Judged(await _ticket(tx, actor, ours), "references", automatic, returned=True)
    ticket, matched_by = await _named(tx, actor, mail, secret)
    return _Judged(ticket, matched_by, automatic, returned=False)


async def _named(tx: Tx, actor: Actor, mail: ReadMail, secret: bytes) -> tuple[Ticket | None, MatchedBy | None]:
    """The ticket that a mail names: by what it answers, by where it was sent, by its subject, in this order."""
    found = threads.ticket_named_by_references(secret, actor.workspace_id, rules.references(mail))
    if found is not None and (ticket := await _ticket(tx, actor, found)) is not None:
        return ticket, "references"
    found = threads.ticket_named_by_address(secret, actor.workspace_id, rules.recipients(mail))
    if found is not None and (ticket := await _ticket(tx, actor, found)) is not None:
        return ticket, "address"
    number = threads.number_named_by_subject(mail.subject)
    if number is not None and (ticket := await _ticket(tx, actor, number)) is not None:
        return (ticket, "subject") if await _takes_part(tx, actor, mail, ticket) else (None, None)
    return None, None


async def _ticket(tx: Tx, actor: Actor, reference: str) -> Ticket | None:
    try:
        return await tickets.get(tx, actor, reference)
    except NotFound:
        return None


async def _takes_part(tx: Tx, actor: Actor, mail: ReadMail, ticket: Ticket) -> bool:
    """Whether the sender is the ticket's customer or one who has spoken on it. Users are not: see the top."""
    if not mail.from_address or await users.of_address(tx, actor.workspace_id, mail.from_address) is not None:
        return False
    contact_id = await contacts.id_of_address(tx, actor.workspace_id, mail.from_address)
    if contact_id is None:
        return False
    return contact_id == ticket.contact_id or await store.has_spoken(tx, actor.workspace_id, ticket.id, contact_id)


async def _become(tx: Tx, actor: Actor, arrival: Arrival, judged: _Judged) -> _Became:
    mail = arrival.mail
    if mail.problem is not None:
        return await _misfit(tx, actor, arrival)
    if judged.returned:
        return _Became("stored", judged.ticket)
    if judged.automatic is not None and judged.ticket is not None:
        return await _note(tx, actor, arrival, judged.ticket, judged.automatic)
    if judged.automatic is not None and judged.automatic.kind == "answer":
        return _Became("stored")
    if judged.ticket is not None:
        return await _comment(tx, actor, arrival, judged.ticket)
    return await _open(tx, actor, arrival)


async def _misfit(tx: Tx, actor: Actor, arrival: Arrival) -> _Became:
    """A ticket that says that a mail could not be understood, with the mail."""
    mail = arrival.mail
    subject = rules.subject_of(replace(mail, subject=f"{MISFIT}: {mail.subject}" if mail.subject else MISFIT))
    told = rules.told_of_misfit(mail, arrival.mail_id, attached=arrival.raw_file is not None)
    body = TicketIn(subject=subject, description=told, attachment_ids=_files(arrival, raw=True))
    ticket = await tickets.create(tx, _postbox(actor), body)
    return _Became("ticket", ticket)


def _postbox(actor: Actor) -> Actor:
    """The program itself, where no person is known to speak."""
    return system(actor.workspace_id, "Mail")


def _files(arrival: Arrival, *, text: bool = False, raw: bool = False) -> list[str]:
    """The attachments that go with a mail."""
    more = [arrival.text_file if text else None, arrival.raw_file if raw or arrival.mail.whole else None]
    return [*arrival.files, *(one for one in more if one is not None)]


def _notes(mail: ReadMail) -> list[str]:
    return ["This mail has many files; those not listed are in mail.eml."] if mail.whole else []


async def _note(tx: Tx, actor: Actor, arrival: Arrival, ticket: Ticket, automatic: rules.Automatic) -> _Became:
    """An internal note: it wakes nobody and is answered by nobody."""
    mail = arrival.mail
    body = rules.told_of_automatic(mail, automatic.why, mail.text, attached=arrival.text_file is not None)
    files = _files(arrival, text=rules.is_long(mail.text))
    note = CommentIn(body=body, visibility="internal", attachment_ids=files)
    comment = await comments.add(tx, _postbox(actor), ticket.id, note)
    return _Became("stored", ticket, comment.id)


async def _comment(tx: Tx, actor: Actor, arrival: Arrival, ticket: Ticket) -> _Became:
    """What a person said on a ticket: by the very function that every comment goes through."""
    mail = arrival.mail
    user = await users.of_address(tx, actor.workspace_id, mail.from_address) if mail.from_address else None
    # What an agent quotes may be internal: it is published only if it is known to be the agent's own words.
    internal = user is not None and not mail.trimmed
    notes = [*_notes(mail), *([UNTOLD] if internal else [])]
    body = rules.body_of(mail.reply, notes, attached=arrival.text_file is not None)
    files = _files(arrival, text=rules.is_long(mail.reply))
    contact = None if user is not None else await _sender(tx, actor, mail)
    if user is not None:
        visibility: Visibility = "internal" if internal else "public"
        said = CommentIn(body=body, visibility=visibility, user_id=user.id, attachment_ids=files)
    elif contact is not None:
        said = CommentIn(body=body, contact_id=contact.id, attachment_ids=files)
    else:
        said = CommentIn(body=body, visibility="internal", attachment_ids=files)
    comment = await comments.add(tx, actor if user or contact else _postbox(actor), ticket.id, said)
    contact_id = None if contact is None else contact.id
    if comment.ticket_id == ticket.id:
        return _Became("comment", ticket, comment.id, contact_id)
    return _Became("follow_up", await tickets.get(tx, actor, comment.ticket_id), comment.id, contact_id)


async def _sender(tx: Tx, actor: Actor, mail: ReadMail) -> Contact | None:
    """The sender as a contact, a new one if need be; None if the mail names no address that can be kept."""
    try:
        address = _EMAIL.validate_python(mail.from_address)
    except ValidationError:
        return None
    return await contacts.of_address(tx, actor.workspace_id, address, rules.contact_name(mail))


async def _open(tx: Tx, actor: Actor, arrival: Arrival) -> _Became:
    """A new ticket. One from ourselves has no customer, so no mail about it comes back to us."""
    mail = arrival.mail
    own = [*await store.own_addresses(tx, actor.workspace_id), *arrival.own_addresses]
    contact = None if rules.is_own(mail.from_address, own) else await _sender(tx, actor, mail)
    contact_id = None if contact is None else contact.id
    notes = _notes(mail)
    if contact is None:
        notes.append(f"This mail is from {rules.sender_of(mail)}, who is no contact.")
    body = TicketIn(
        subject=rules.subject_of(mail),
        description=rules.body_of(mail.text, notes, attached=arrival.text_file is not None),
        contact_id=contact_id,
        attachment_ids=_files(arrival, text=rules.is_long(mail.text)),
    )
    speaker = _postbox(actor) if contact is None else replace(actor, type="contact", id=contact.id, name=contact.name)
    ticket = await tickets.create(tx, speaker, body)
    return _Became("ticket", ticket, contact_id=contact_id)


async def page(tx: Tx, actor: Actor, asked: InboundAsked) -> Page[Inbound]:
    """Mails that came, the newest first."""
    ticket_id = None
    if asked.ticket_id is not None:
        ticket = await _ticket(tx, actor, asked.ticket_id)
        ticket_id = asked.ticket_id if ticket is None else ticket.id
    found, total = await store.page(tx, actor.workspace_id, ticket_id, asked)
    return page_of(found, total, asked)


async def get(tx: Tx, actor: Actor, mail_id: str) -> InboundDetail:
    """One mail that came, with its headers and its whole text."""
    kept = await store.get(tx, actor.workspace_id, mail_id)
    if kept is None:
        raise NotFound("mail_not_found", "Mail not found")
    headers, text, until = await store.content(tx, actor.workspace_id, mail_id)
    told = [Header(name=name, value=value) for name, value in headers]
    return InboundDetail(**store.as_inbound(kept).model_dump(), headers=told, text=text, raw_until=until)
