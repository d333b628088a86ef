"""Use cases of what a workspace sets: addresses, switches, templates; and putting a mail into words."""

import asyncio
from dataclasses import asdict, replace
from typing import Any

import structlog
from markupsafe import Markup

from ticketry.accounts.workspaces import service as workspaces
from ticketry.accounts.workspaces.models import Workspace
from ticketry.contacts import service as contacts
from ticketry.core.actor import Actor
from ticketry.core.errors import NotFound, ValidationFailed, field_error
from ticketry.db.pool import Tx
from ticketry.mail.markdown import to_html
from ticketry.mail.threads import subject_tag
from ticketry.mail.wording import store
from ticketry.mail.wording.defaults import COLOUR, DEFAULTS, NOTICE_PAGE, sample, variables
from ticketry.mail.wording.models import (
    CUSTOMER_KINDS,
    KINDS,
    About,
    Content,
    Kind,
    MailSettings,
    MailSettingsIn,
    Preview,
    PreviewIn,
    StoredSettings,
    Switches,
    Template,
    TemplateIn,
    Values,
)
from ticketry.mail.wording.templates import PARTS, TemplateFault, check, one_line, render
from ticketry.tickets import rules as ticket_rules
from ticketry.tickets import service as tickets
from ticketry.tickets.models import PRIORITY_LABELS

log = structlog.get_logger()

_ANSWERED: tuple[Kind, ...] = ("replied", "customer_replied")


# ---- settings


async def settings(tx: Tx, workspace_id: str, *, smtp: bool) -> MailSettings:
    """How a workspace sends mail; `smtp` is whether the installation has a server to send through."""
    stored = await store.settings(tx, workspace_id)
    workspace = await workspaces.get(tx, workspace_id)
    return _view(stored, smtp and workspace.environment == "live")


def _view(stored: StoredSettings, delivered: bool) -> MailSettings:
    given = asdict(stored)
    off = set(given.pop("kinds_off"))
    switches = Switches(**{kind: kind not in off for kind in KINDS})
    return MailSettings(**given, switches=switches, delivery="smtp" if delivered else "outbox")


async def change_settings(tx: Tx, workspace_id: str, body: MailSettingsIn, *, smtp: bool) -> MailSettings:
    """Changes the settings given, one change after the other."""
    await workspaces.hold(tx, workspace_id)
    stored = await store.settings(tx, workspace_id)
    given: dict[str, Any] = body.model_dump(exclude_unset=True)
    off = set(stored.kinds_off)
    for kind, on in given.pop("switches", {}).items():
        (off.discard if on else off.add)(kind)
    await store.keep_settings(tx, workspace_id, replace(stored, **given, kinds_off=sorted(off)))
    return await settings(tx, workspace_id, smtp=smtp)


# ---- templates


def known(kind: str) -> Kind:
    """The kind of this name; anything else is not found."""
    for one in KINDS:
        if one == kind:
            return one
    raise NotFound("mail_template_not_found", "There is no mail of this kind")


async def all_templates(tx: Tx, workspace_id: str) -> list[Template]:
    """How every kind of mail is worded."""
    return [await template(tx, workspace_id, kind) for kind in KINDS]


async def template(tx: Tx, workspace_id: str, kind: Kind) -> Template:
    """How one kind of mail is worded."""
    own = await store.template(tx, workspace_id, kind)
    content, at = own or (DEFAULTS[kind], None)
    return Template(
        kind=kind,
        audience="customer" if kind in CUSTOMER_KINDS else "agent",
        custom=own is not None,
        subject=content.subject,
        text=content.text,
        html=content.html,
        variables=variables(kind),
        updated_at=at,
    )


async def keep_template(tx: Tx, workspace_id: str, kind: Kind, body: TemplateIn) -> Template:
    """Stores a template of one's own. Raises `ValidationFailed` naming the part and line of each fault."""
    content = Content(body.subject, body.text, body.html)
    await _check(kind, content)
    await store.keep_template(tx, workspace_id, kind, content)
    return await template(tx, workspace_id, kind)


async def drop_template(tx: Tx, workspace_id: str, kind: Kind) -> Template:
    """Back to the words that come with the program."""
    await store.drop_template(tx, workspace_id, kind)
    return await template(tx, workspace_id, kind)


async def _check(kind: Kind, content: Content) -> None:
    """Whether a template may be stored: what it is made of, and that it makes a mail of the sample."""
    wrong = []
    for part in PARTS:
        try:
            check(part, getattr(content, part), sample(kind))
        except TemplateFault as fault:
            wrong.append(field_error(part, "template_error", str(fault)))
    if wrong:
        raise ValidationFailed(*wrong)
    await _previewed(content, sample(kind))


async def _previewed(content: Content, values: Values) -> Content:
    try:
        return await _said(content, values)
    except TemplateFault as fault:
        raise ValidationFailed(field_error(fault.part, "template_error", str(fault))) from None


async def preview(tx: Tx, actor: Actor, kind: Kind, body: PreviewIn) -> Preview:
    """A mail as it would be, about a ticket or with sample data. Nothing is stored or sent."""
    own = await store.template(tx, actor.workspace_id, kind)
    content = own[0] if own else DEFAULTS[kind]
    content = Content(body.subject or content.subject, body.text or content.text, body.html or content.html)
    await _check(kind, content)
    workspace = await workspaces.get(tx, actor.workspace_id)
    stored = await store.settings(tx, actor.workspace_id)
    values = {**sample(kind), "workspace": _workspace_values(workspace, stored)}
    if body.ticket_id is not None:
        about, message = await _of_ticket(tx, actor, kind, body.ticket_id)
        values = {**values, **_ticket_values(kind, about), "message": message}
    said = await _previewed(content, values)
    return Preview(subject=_tagged(values["ticket"]["number"], said.subject), text=said.text, html=said.html)


async def _of_ticket(tx: Tx, actor: Actor, kind: Kind, reference: str) -> tuple[About, str]:
    """What a mail of this kind would say about the ticket as it stands."""
    try:
        ticket = await tickets.get(tx, actor, reference)
    except NotFound:
        message = "no ticket of this workspace has this id or number"
        raise ValidationFailed(field_error("ticket_id", "ticket_not_found", message)) from None
    contact = None if ticket.contact_id is None else await contacts.get(tx, actor.workspace_id, ticket.contact_id)
    due_at = ticket.resolution_due_at or ticket.response_due_at
    about = About(
        number=ticket_rules.label(ticket.number),
        subject=ticket.subject,
        status=ticket.status,
        priority=PRIORITY_LABELS[ticket.priority],
        category=ticket.category,
        description=ticket.description,
        note=ticket.resolution_note,
        contact_id=ticket.contact_id,
        contact_name=contact.name if contact else None,
        agent_name=ticket.assigned_name,
        target="resolution",
        due_at=ticket_rules.iso(due_at) if due_at else None,
    )
    said = None
    if kind in _ANSWERED:
        by_customer = kind == "customer_replied"
        said = await store.last_comment(tx, actor.workspace_id, ticket.id, by_customer=by_customer)
    return replace(about, agent_name=said[1] if said else about.agent_name), _message(kind, about, said and said[0])


# ---- into words


async def words(
    tx: Tx,
    workspace: Workspace,
    stored: StoredSettings,
    kind: Kind,
    about: About,
    comment: tuple[str, str | None] | None,
) -> Content:
    """What a mail says. `comment` is the text that it quotes, and the agent who said it.

    A template that no longer fits gives way to the words that come with the program: the mail is worth more.
    """
    about = replace(about, agent_name=comment[1]) if comment else about
    values = {
        "workspace": _workspace_values(workspace, stored),
        **_ticket_values(kind, about),
        "message": _message(kind, about, comment and comment[0]),
    }
    own = await store.template(tx, workspace.id, kind)
    try:
        said = await _said(own[0] if own else DEFAULTS[kind], values)
    except TemplateFault as fault:
        log.warning("a mail template does not fit", workspace=workspace.id, kind=kind, part=fault.part, why=str(fault))
        said = await _said(DEFAULTS[kind], values)
    return replace(said, subject=_tagged(about.number, said.subject))


def _tagged(number: str, subject: str) -> str:
    return one_line(f"{subject_tag(number)} {subject}")


async def notice(workspace: Workspace, stored: StoredSettings, subject: str, text: str) -> Content:
    """A mail to the workspace's admins about the workspace; `text` is Markdown."""
    heading = one_line(subject)
    values = {"workspace": _workspace_values(workspace, stored), "heading": heading, "message": text}
    return await _said(Content("{{ heading }}", "{{ message }}\n", NOTICE_PAGE), values)


async def _said(content: Content, values: Values) -> Content:
    """The mail in words, made in a thread: a long text takes a while, and others are served meanwhile."""

    def work() -> Content:
        html = Markup(to_html(values["message"]))  # noqa: S704 - made safe by to_html
        return render(content, values, {**values, "message": html})

    return await asyncio.to_thread(work)


def _message(kind: Kind, about: About, comment: str | None) -> str:
    """The text that a mail of this kind quotes. What customers get is public, and nothing else is asked for here."""
    if kind in _ANSWERED:
        return comment or ""
    if kind == "resolved":
        return about.note or ""
    return about.description if kind == "assigned" else ""


def _workspace_values(workspace: Workspace, stored: StoredSettings) -> dict[str, str]:
    branding = workspace.branding
    return {
        "name": sender_name(workspace, stored),
        "colour": branding.colour or COLOUR,
        "logo_url": branding.logo_url or "",
        "website": branding.website or "",
    }


def sender_name(workspace: Workspace, stored: StoredSettings) -> str:
    """Whom mail comes from, by name."""
    return stored.sender_name or workspace.branding.display_name or workspace.name


def _ticket_values(kind: Kind, about: About) -> Values:
    ticket = {
        "number": about.number,
        "subject": about.subject,
        "status": about.status.replace("_", " "),
        "priority": about.priority,
    }
    values: Values = {
        "ticket": ticket,
        "contact": {"name": about.contact_name or ""},
        "agent": {"name": about.agent_name or ""},
    }
    if kind not in CUSTOMER_KINDS:
        ticket["category"] = about.category or ""
        due_at = (about.due_at or "").replace("T", " ").replace(":00Z", " UTC")
        values["sla"] = {"target": about.target or "", "due_at": due_at}
    return values
