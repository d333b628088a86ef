"""`ticketry contacts`."""

from typing import Any

from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.commands.database import run
from ticketry.commands.places import Place, find
from ticketry.contacts import service as contacts
from ticketry.contacts.models import Contact, ContactIn
from ticketry.db.pool import Tx
from ticketry.settings import Settings


def create(settings: Settings, place: Place, values: dict[str, Any], quiet: bool) -> None:
    """Adds a contact."""

    async def work(tx: Tx) -> tuple[Contact, Workspace]:
        workspace = await find(tx, place)
        return await contacts.create(tx, workspace.id, show.parse(ContactIn, values)), workspace

    contact, workspace = run(settings, work)
    show.made(contact.id, f"{contact.name} is a contact of workspace {workspace.name}.", quiet)


def list_all(settings: Settings, place: Place, search: str | None) -> None:
    """Shows the contacts of a workspace by name."""

    async def work(tx: Tx) -> list[Contact]:
        workspace = await find(tx, place)
        return await show.every(lambda asked: contacts.page(tx, workspace.id, search, None, asked))

    show.objects(("id", "name", "email", "phone", "company", "external_id", "tags", "created_at"), run(settings, work))
