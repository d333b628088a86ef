"""The calls on contacts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.contacts import service
from ticketry.contacts.models import Contact, ContactIn, ContactPatch
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/contacts", tags=["contacts"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("contacts:read")]
Writer = Annotated[Actor, needs("contacts:write")]
ContactId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]


class ContactsAsked(PageIn):
    """Which contacts are asked for."""

    search: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description="Part of name, mail address or external id.")
    ] = None
    external_id: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description="Exactly this external id.")
    ] = None


@router.post("", status_code=201, response_model=Data[Contact], responses=errors(409, 422))
async def create_contact(actor: Writer, tx: Unit, body: ContactIn) -> Response:
    """Add a contact."""
    contact = await service.create(tx, actor.workspace_id, body)
    return data_answer(contact, 201, {"Location": f"/v1/contacts/{contact.id}"})


@router.get("", response_model=Page[Contact], responses=errors(422))
async def list_contacts(actor: Reader, tx: Unit, asked: Annotated[ContactsAsked, Query()]) -> Response:
    """List contacts by name."""
    page = await service.page(tx, actor.workspace_id, asked.search, asked.external_id, asked)
    return json_answer(page.model_dump_json())


@router.get("/{contact_id}", response_model=Data[Contact], responses=errors(404, 422))
async def get_contact(actor: Reader, tx: Unit, contact_id: ContactId) -> Response:
    """Read a contact."""
    return data_answer(await service.get(tx, actor.workspace_id, contact_id))


@router.patch("/{contact_id}", response_model=Data[Contact], responses=errors(404, 409, 422))
@router.put("/{contact_id}", response_model=Data[Contact], responses=errors(404, 409, 422))
async def update_contact(actor: Writer, tx: Unit, contact_id: ContactId, body: ContactPatch) -> Response:
    """Change a contact: fields left out stay."""
    return data_answer(await service.update(tx, actor.workspace_id, contact_id, body))
