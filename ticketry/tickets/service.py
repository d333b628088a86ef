"""Use cases of tickets. Every way to open, close or reopen one (a call, a rule, a timer) is a function here."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from ticketry.accounts.users import service as users
from ticketry.attachments import service as attachments
from ticketry.attachments.models import Attachment
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor, system
from ticketry.core.errors import Busy, NotFound, ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.events import service as events
from ticketry.events.models import Event
from ticketry.sla import rules as sla
from ticketry.sla.alarms import Told
from ticketry.sla.models import Policy
from ticketry.sla.policies import service as policies
from ticketry.sla.policies.models import DEFAULT_POLICY_ID
from ticketry.sla.policies.rules import Traits
from ticketry.tickets import rules, store
from ticketry.tickets.comments.models import Author, Comment, Visibility
from ticketry.tickets.links import rules as link_rules
from ticketry.tickets.links import store as links
from ticketry.tickets.links.models import LinkType
from ticketry.tickets.models import CloseIn, ReopenIn, Resolution, ResolutionActor, Ticket, TicketIn, TicketPatch
from ticketry.web import conditional

Result = TypeVar("Result")
ATTEMPTS = 50
"""How often a change is tried anew when others change the ticket first. Each round one of them gets through."""


async def policy_of(tx: Tx, ticket: Ticket) -> Policy:
    """The SLA policy version that a ticket keeps."""
    held = await policies.version_of(tx, ticket.workspace_id, ticket.sla_policy_id, ticket.sla_policy_version)
    return held.policy


async def get(tx: Tx, actor: Actor, reference: str) -> Ticket:
    """A ticket of the actor's workspace by id or number; anything else is not found."""
    ticket = await store.get(tx, actor.workspace_id, reference)
    if ticket is None:
        raise NotFound("ticket_not_found", "Ticket not found")
    return ticket


async def changing(
    tx: Tx,
    actor: Actor,
    reference: str | Ticket,
    if_match: str | None,
    attempt: Callable[[Ticket], Awaitable[Result | None]],
) -> Result:
    """Runs `attempt` on the ticket as it stands, again if somebody else changed it meanwhile (None).

    No lock is held while thinking: the statement that writes names the version that was read, so nothing is lost.
    Who has read the ticket a moment ago gives it instead of its reference; the first attempt then reads nothing.
    """
    read = reference if isinstance(reference, Ticket) else None
    name = reference.id if isinstance(reference, Ticket) else reference
    for _ in range(ATTEMPTS):
        ticket, read = read or await get(tx, actor, name), None
        conditional.check(if_match, ticket.version, "stale_ticket")
        result = await attempt(ticket)
        if result is not None:
            return result
    raise Busy("ticket_busy", "The ticket is being changed by too many at once; try again")


async def create(tx: Tx, actor: Actor, body: TicketIn, *, follow_up_of: str | None = None) -> Ticket:
    """Opens a ticket: it and its facts in one statement.

    Raises `ValidationFailed` if the contact, the assignee or a file is not there.
    """
    if body.attachment_ids:
        tx.together()
    files, opening = await _begin(tx, actor, body)
    traits = Traits(body.category, body.tags or [], body.contact_id, body.priority or 3)
    policy = await policies.chosen(tx, actor.workspace_id, opening.policies, traits)
    ticket = _opened(tx, actor, body, policy, opening, follow_up_of=follow_up_of)
    as_json = rules.as_json(ticket, tx.now)
    shown = [one.item() for one in files]
    facts = [events.fact("ticket.created", actor, ticket.id, tx.now, as_json, changes={}, attachments=shown)]
    if ticket.assigned_to is not None:
        names = ("assigned_to", "assigned_name")
        changes = {name: {"from": None, "to": getattr(ticket, name)} for name in names}
        facts.append(events.fact("ticket.assigned", actor, ticket.id, tx.now, as_json, changes=changes))
    await store.insert(tx, ticket, facts)
    await attachments.attach(tx, actor.workspace_id, files, ticket_id=ticket.id, contact_id=_customer(actor))
    return ticket


async def _begin(tx: Tx, actor: Actor, body: TicketIn) -> tuple[list[Attachment], store.Opening]:
    """The files of a new ticket and what it begins with; everything that is wrong is named at once."""
    wrong: list[dict[str, str]] = []
    files = await _files(tx, actor, body, wrong)
    if not wrong:
        opening = await store.opening(tx, actor.workspace_id, body.contact_id, body.assigned_to)
        if opening.number is not None:
            return files, opening
    wrong = await _wrong_references(tx, actor, body.model_dump(include={"contact_id", "assigned_to"})) + wrong
    if wrong:
        raise ValidationFailed(*wrong)
    raise Busy("ticket_busy", "The contact or the assignee is being changed at this moment; try again")


async def _files(tx: Tx, actor: Actor, body: TicketIn, wrong: list[dict[str, str]]) -> list[Attachment]:
    """The files that a new ticket is to have; what is wrong with them is added to `wrong`."""
    try:
        picked = await attachments.pick(tx, actor.workspace_id, body.attachment_ids)
        attachments.check_fit(picked, body.attachment_ids, _customer(actor), body.contact_id)
    except ValidationFailed as error:
        wrong += error.errors
        return []
    return picked


def _customer(actor: Actor) -> str | None:
    return actor.id if actor.type == "contact" else None


def _opened(
    tx: Tx, actor: Actor, body: TicketIn, policy: Policy, opening: store.Opening, *, follow_up_of: str | None
) -> Ticket:
    assert opening.number is not None
    priority = body.priority or 3
    status = body.status or "new"
    if status == "new" and body.assigned_to is not None:
        status = "open"
    given: dict[str, Any] = body.model_dump(exclude={"priority", "status", "attachment_ids"}, exclude_none=True)
    clock = sla.start(policy, tx.now, priority, status)
    return Ticket(
        workspace_id=actor.workspace_id,
        id=mint("ticket"),
        number=opening.number,
        version=1,
        priority=priority,
        status=status,
        assigned_name=opening.assigned_name,
        follow_up_of=follow_up_of,
        created_at=tx.now,
        updated_at=tx.now,
        **{
            name: given.pop(name, None)
            for name in ("category", "contact_id", "conversation_id", "assigned_to", "due_date")
        },
        **given,
        **rules.clock_columns(clock),
        **rules.alarm_columns(policy, clock, Told.NOTHING),
        sla_policy_id=policy.id or DEFAULT_POLICY_ID,
        sla_policy_version=policy.version,
    )


async def record(
    tx: Tx,
    actor: Actor,
    old: Ticket,
    new: Ticket,
    comment: Comment | None = None,
    beside: Mapping[str, Any] | None = None,
    **details: Any,
) -> bool:
    """Writes what leads from `old` to `new` with its facts, in one statement; a close writes its resolution too.

    `beside` are changes around the ticket that its facts tell as well; `details` go into the fact of the status change.
    False, and nothing is written, if somebody else was quicker.
    """
    at = new.updated_at
    closes = new.status == "closed" and old.status != "closed"
    resolution = rules.resolution(new, mint("res"), _closer(actor)) if closes else None
    columns = {"updated_at": at, **rules.columns_changed(old, new)}
    if resolution is not None:
        columns = {**{name: getattr(new, name) for name in store.CLOSING_COLUMNS}, **columns}
        details["resolution"] = resolution
    as_json = rules.as_json(new, at)
    clockwork = system(new.workspace_id, "SLA")
    facts = [
        events.fact(kind, clockwork, new.id, at, as_json, changes={}, **about)
        for kind, about in rules.alarms_told(old, new)
    ]
    if comment is not None:
        said = comment.model_dump()
        facts.append(events.fact("ticket.commented", actor, new.id, at, as_json, changes={}, comment=said))
    facts += [
        events.fact(kind, actor, new.id, at, as_json, changes=changes, **(details if "status" in changes else {}))
        for kind, changes in rules.facts(old, new, beside)
    ]
    return await store.change(tx, old, columns, facts, resolution, comment)


def _closer(actor: Actor) -> ResolutionActor:
    return ResolutionActor(type=actor.type, id=actor.id, name=actor.name)


async def close(tx: Tx, actor: Actor, reference: str | Ticket, body: CloseIn, if_match: str | None = None) -> Ticket:
    """Closes a ticket: the ticket, its resolution and the fact in one statement, or 409 and nothing.

    One that `duplicate_of` names an original for is linked to it in the same transaction, and comments tell of it.
    """
    if body.duplicate_of is not None:
        return await _close_as_duplicate(tx, actor, reference, body, body.duplicate_of, if_match)

    async def attempt(old: Ticket) -> Ticket | None:
        new = rules.close(old, await policy_of(tx, old), body, tx.now)
        return new if await record(tx, actor, old, new) else None

    return await changing(tx, actor, reference, if_match, attempt)


async def _close_as_duplicate(
    tx: Tx, actor: Actor, reference: str | Ticket, body: CloseIn, named: str, if_match: str | None
) -> Ticket:
    tx.together()
    chain = await chain_from(tx, actor, named, "duplicate_of")
    original = chain[-1]

    async def attempt(old: Ticket) -> tuple[Ticket, Ticket] | None:
        # A ticket that is a duplicate already is no more a duplicate of itself than another one.
        linked = old.duplicate_of in {end.id for end in chain} and old.id != chain[0].id
        new = rules.close(old, await policy_of(tx, old), body, tx.now, duplicate_of=None if linked else original.id)
        if not linked:
            link_rules.check_new(old, "duplicate_of", chain, "duplicate_of")
        beside = None if linked else link_rules.change("duplicate_of", original, made=True)
        said = _by_system(old, link_rules.on_duplicate(original), "public", new.updated_at)
        return (old, new) if await record(tx, actor, old, new, said, beside) else None

    old, new = await changing(tx, actor, reference, if_match, attempt)
    told = None if old.duplicate_of else new
    await link_side(tx, actor, original.id, "duplicated_by", told, note=link_rules.on_original(new))
    return new


async def chain_from(tx: Tx, actor: Actor, reference: str, field: str) -> list[Ticket]:
    """The ticket that a body names, and the originals that it is a duplicate of, the final one last.

    Links of the workspace are locked until the transaction ends, so that what this finds stays true: whoever changes
    links of two tickets begins here, before it changes any. Raises `ValidationFailed` naming `field`.
    """
    await links.lock(tx, actor.workspace_id)
    chain = await links.chain(tx, actor.workspace_id, reference)
    if not chain:
        raise ValidationFailed(field_error(field, "ticket_not_found", "no ticket of this workspace has this id"))
    return chain


async def link_side(
    tx: Tx,
    actor: Actor,
    reference: str,
    kind: LinkType,
    other: Ticket | None,
    *,
    made: bool = True,
    note: str | None = None,
) -> None:
    """Writes one side of a link that is made or removed: what the ticket holds of it, the fact, a note by the system.

    `other` is the ticket at the other end, None if no link changes.
    """

    async def attempt(old: Ticket) -> Ticket | None:
        at = rules.moment(old, tx.now)
        beside = None if other is None else link_rules.change(kind, other, made=made)
        held = link_rules.held(kind, other, made) if other is not None else {}
        new = rules.change(old, await policy_of(tx, old), at, **held)
        said = None if note is None else _by_system(old, note, "internal", at)
        return new if await record(tx, actor, old, new, said, beside) else None

    await changing(tx, actor, reference, None, attempt)


def _by_system(ticket: Ticket, body: str, visibility: Visibility, at: datetime) -> Comment:
    author = author_of(system(ticket.workspace_id))
    return Comment(
        id=mint("comment"), ticket_id=ticket.id, body=body, visibility=visibility, author=author, created_at=at
    )


async def reopen(tx: Tx, actor: Actor, reference: str | Ticket, body: ReopenIn, if_match: str | None = None) -> Ticket:
    """Reopens a closed or resolved ticket; what its closes recorded stays."""

    async def attempt(old: Ticket) -> Ticket | None:
        new = rules.reopen(old, await policy_of(tx, old), tx.now)
        return new if await record(tx, actor, old, new, reason=body.reason) else None

    return await changing(tx, actor, reference, if_match, attempt)


async def update(
    tx: Tx, actor: Actor, reference: str | Ticket, body: TicketPatch, if_match: str | None = None
) -> Ticket:
    """Changes the fields given; `status` closes and reopens by the same rules as those calls."""
    given: dict[str, Any] = body.model_dump(exclude_unset=True)
    note = given.pop("internal_note", None)
    if wrong := await _wrong_references(tx, actor, given):
        raise ValidationFailed(*wrong)

    async def attempt(old: Ticket) -> Ticket | None:
        new = rules.update(old, await policy_of(tx, old), _complete(old, given), tx.now)
        at = rules.moment(old, tx.now)
        comment = None if note is None else internal_note(actor, old, note, at)
        if new is old:
            if comment is None:
                return old
            new = rules.change(old, await policy_of(tx, old), at)
        return new if await record(tx, actor, old, new, comment) else None

    return await changing(tx, actor, reference, if_match, attempt)


async def _wrong_references(tx: Tx, actor: Actor, given: dict[str, Any]) -> list[dict[str, str]]:
    """The contact and the assignee must be there, and both are named if not; notes the assignee's name in `given`."""
    wrong: list[dict[str, str]] = []
    try:
        if given.get("contact_id") is not None:
            await contacts.check_exists(tx, actor.workspace_id, given["contact_id"], "contact_id")
    except ValidationFailed as error:
        wrong += error.errors
    try:
        if "assigned_to" in given:
            given["assigned_name"] = await _assignee_name(tx, actor, given["assigned_to"])
    except ValidationFailed as error:
        wrong += error.errors
    return wrong


async def _assignee_name(tx: Tx, actor: Actor, user_id: str | None) -> str | None:
    if user_id is None:
        return None
    return (await users.check_assignable(tx, actor.workspace_id, user_id, "assigned_to")).name


def _complete(ticket: Ticket, given: dict[str, Any]) -> dict[str, Any]:
    """The fields given as the ticket stores them."""
    full = dict(given)
    if "custom_fields" in full:
        full["custom_fields"] = rules.merged(ticket.custom_fields, full["custom_fields"])
        rules.check_custom_fields(full["custom_fields"])
    if "metadata" in full:
        full["metadata"] = full["metadata"] or {}
    if "tags" in full:
        full["tags"] = full["tags"] or []
    return full


def internal_note(actor: Actor, ticket: Ticket, body: str, at: datetime) -> Comment:
    """A note that customers never see, by the actor."""
    author = author_of(actor)
    return Comment(
        id=mint("comment"), ticket_id=ticket.id, body=body, visibility="internal", author=author, created_at=at
    )


def author_of(actor: Actor) -> Author:
    """The actor as the author of a comment: a key that acts for nobody speaks as the system."""
    if actor.type == "key" or actor.type == "system":
        return Author(type="system", id=actor.id, name=actor.name)
    return Author(type=actor.type, id=actor.id, name=actor.name)


async def resolutions(tx: Tx, actor: Actor, reference: str, asked: PageIn) -> Page[Resolution]:
    """What each close of the ticket recorded, oldest first."""
    ticket = await get(tx, actor, reference)
    found = await store.resolutions(tx, actor.workspace_id, ticket.id, asked)
    return page_of(found, await store.count_resolutions(tx, actor.workspace_id, ticket.id), asked)


async def files(tx: Tx, actor: Actor, reference: str, asked: PageIn) -> Page[Attachment]:
    """The files of the ticket and of its comments, oldest first."""
    ticket = await get(tx, actor, reference)
    return await attachments.page_of_ticket(tx, actor.workspace_id, ticket.id, asked)


async def history(tx: Tx, actor: Actor, reference: str, asked: PageIn) -> Page[Event]:
    """What happened to the ticket, oldest first."""
    ticket = await get(tx, actor, reference)
    return await events.history(tx, actor, ticket.id, asked)
