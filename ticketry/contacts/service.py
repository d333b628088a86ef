"""Use cases of contacts."""

from typing import Any

from ticketry.contacts import store
from ticketry.contacts.models import ERASED_NAME, Contact, ContactIn, ContactPatch
from ticketry.core.errors import Conflict, NotFound, ValidationFailed, field_error
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx


async def create(tx: Tx, workspace_id: str, body: ContactIn) -> Contact:
    """Adds a contact. Raises `Conflict` if the id or the mail address is taken."""
    given: dict[str, Any] = body.model_dump()
    given |= {"id": body.id or mint("contact"), "tags": body.tags or []}
    contact = Contact(**given, created_at=tx.now, updated_at=tx.now)
    if not await store.insert(tx, workspace_id, contact):
        known = body.email and await store.by_email(tx, workspace_id, body.email)
        raise _taken("email" if known else "id")
    return contact


def _taken(field: str) -> Conflict:
    return Conflict(f"contact_{field}_taken", f"A contact with this {field} exists already", field=field)


async def get(tx: Tx, workspace_id: str, contact_id: str) -> Contact:
    """One contact."""
    contact = await store.get(tx, workspace_id, contact_id)
    if contact is None:
        raise NotFound("contact_not_found", "Contact not found")
    return contact


async def page(tx: Tx, workspace_id: str, search: str | None, external_id: str | None, asked: PageIn) -> Page[Contact]:
    """Contacts by name; `search` is a part of the name, mail address or external id."""
    found, total = await store.page(tx, workspace_id, search, external_id, asked.per_page, asked.offset)
    return page_of(found, total, asked)


async def update(tx: Tx, workspace_id: str, contact_id: str, body: ContactPatch) -> Contact:
    """Changes the fields given. Raises `contact_erased` for one that was erased."""
    contact = await store.hold(tx, workspace_id, contact_id) or await get(tx, workspace_id, contact_id)
    if contact.erased_at is not None:
        raise Conflict("contact_erased", "This contact was erased")
    changes = body.model_dump(exclude_unset=True)
    if changes.get("email") and await store.by_email(tx, workspace_id, changes["email"]) not in {
        None,
        contact_id,
    }:
        raise _taken("email")
    if "tags" in changes:
        changes["tags"] = changes["tags"] or []
    if changes:
        changes["updated_at"] = tx.now
        if not await store.update(tx, workspace_id, contact_id, changes):
            raise _taken("email")
    return contact.model_copy(update=changes)


async def of_address(tx: Tx, workspace_id: str, email: str, name: str) -> Contact:
    """The contact with this mail address, compared without case; a new one of this name if there is none.

    `email` and `name` have the form that `ContactIn` asks for.
    """
    while True:
        known = await store.by_email(tx, workspace_id, email)
        if known is not None and (contact := await store.get(tx, workspace_id, known)) is not None:
            return contact
        contact = Contact(
            id=mint("contact"),
            name=name,
            email=email,
            phone=None,
            company=None,
            external_id=None,
            tags=[],
            created_at=tx.now,
            updated_at=tx.now,
        )
        if await store.insert(tx, workspace_id, contact):
            return contact


async def id_of_address(tx: Tx, workspace_id: str, email: str) -> str | None:
    """The id of the contact with this mail address, if there is one."""
    return await store.by_email(tx, workspace_id, email)


async def erase(tx: Tx, workspace_id: str, contact_id: str) -> tuple[Contact, dict[str, list[str]]]:
    """Empties a contact but for its id; the contact as it was, and what its fields held before that.

    One that was erased before stays as it is.
    """
    contact = await store.hold(tx, workspace_id, contact_id)
    if contact is None:
        raise NotFound("contact_not_found", "Contact not found")
    former = await store.former(tx, workspace_id, contact_id)
    if contact.erased_at is None:
        await store.erase(tx, workspace_id, contact_id, ERASED_NAME)
    return contact, former


async def is_living(tx: Tx, workspace_id: str, contact_id: str) -> bool:
    """Whether there is a contact with this id that was not erased."""
    contact = await store.get(tx, workspace_id, contact_id)
    return contact is not None and contact.erased_at is None


async def check_exists(tx: Tx, workspace_id: str, contact_id: str, field: str) -> Contact:
    """The contact, if there is one and it was not erased; else a validation error that names `field`."""
    contact = await store.get(tx, workspace_id, contact_id)
    if contact is None:
        raise ValidationFailed(field_error(field, "contact_not_found", "no contact of this workspace has this id"))
    if contact.erased_at is not None:
        raise ValidationFailed(field_error(field, "contact_erased", "this contact was erased"))
    return contact
