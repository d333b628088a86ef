"""`ticketry contacts`."""

from typing import Any

from ticketry.accounts.workspaces.models import Workspace
from ticketry.commands import show
from ticketry.commands.database import existing, run, run_with_pool
from ticketry.commands.places import Place, find
from ticketry.contacts import service as contacts
from ticketry.contacts.models import Contact, ContactIn
from ticketry.core.actor import system
from ticketry.core.clock import system_clock
from ticketry.core.errors import OperatorError
from ticketry.db.pool import Pool, Tx, unit
from ticketry.erasure import runs
from ticketry.erasure.models import Run
from ticketry.settings import Settings

PATIENCE = 86_400.0
"""Seconds that a command waits for the end of an erasure."""


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


def erase(settings: Settings, place: Place, contact_id: str, sure: bool) -> None:
    """Erases a contact for good, and waits for the end."""
    if not sure:
        raise OperatorError(f"erasing {contact_id} cannot be undone: repeat the command with --yes")

    async def work(pool: Pool) -> Run:
        async with unit(pool, system_clock()) as tx:
            workspace = await find(tx, place)
        actor = system(workspace.id, "Command line")
        return await runs.erase(pool, system_clock, settings, actor, contact_id, PATIENCE)

    with existing(settings) as url:
        done = run_with_pool(url, work)
    if done.finished_at is None:
        show.note("It has begun, but could not be ended now: the worker goes on with it.")
    counts = ", ".join(f"{count} {name}" for name, count in done.view.counts.model_dump().items())
    show.made(contact_id, f"Erased: {counts}.", False)
