"""`ticketry mail`."""

import typer

from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.commands.database import run
from ticketry.commands.places import Place, find
from ticketry.core.actor import system
from ticketry.db.pool import Tx
from ticketry.mail.sending import service as mail
from ticketry.mail.sending.models import MessageItem, MessageObject, MessagesAsked
from ticketry.settings import Settings

COLUMNS = ("id", "kind", "status", "address", "subject", "created_at", "reason")


def list_all(settings: Settings, place: Place, status: str | None, ticket: str | None) -> None:
    """Shows the newest mails of a workspace, the newest last."""

    async def work(tx: Tx) -> tuple[list[MessageItem], int]:
        workspace: Workspace = await find(tx, place)
        asked = show.parse(MessagesAsked, {"status": status, "ticket_id": ticket, "per_page": 100})
        page = await mail.page(tx, system(workspace.id), asked)
        return page.data, page.meta.total

    found, total = run(settings, work)
    show.objects(COLUMNS, found[::-1])
    if total > len(found):
        show.note(f"The newest {len(found)} of {total}.")


def show_one(settings: Settings, place: Place, message_id: str) -> None:
    """Prints a mail: headers and text as the recipient sees them, then what became of it."""

    async def work(tx: Tx) -> MessageObject:
        return await mail.get(tx, (await find(tx, place)).id, message_id)

    found = run(settings, work)
    for name, value in found.headers:
        typer.echo(f"{name}: {value}")
    if found.message_id is not None:
        typer.echo(f"Message-ID: {found.message_id}")
    typer.echo(f"\n{found.text or ''}")
    show.note(f"{found.id}: {found.status}{f', {found.reason}' if found.reason else ''}")
    for attempt in found.tries:
        code = f" {attempt.code}" if attempt.code is not None else ""
        show.note(
            f"attempt {attempt.attempt}, {attempt.at:%Y-%m-%d %H:%M:%SZ}: {attempt.outcome}{code} {attempt.words}"
        )
