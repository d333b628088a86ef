"""The calls on a ticket's links."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.tickets.api import Reference
from ticketry.tickets.links import service
from ticketry.tickets.links.models import Link, LinkIn, LinkType
from ticketry.web.conditional import IfMatch
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/tickets", tags=["links"], route_class=GuardedRoute)

OtherReference = Annotated[
    str, Path(alias="other_id", max_length=64, pattern=NO_NUL, description="The other ticket's id or number.")
]


@router.get("/{ticket_id}/links", response_model=Page[Link], responses=errors(404, 422))
async def list_links(
    actor: Annotated[Actor, needs("tickets:read")], tx: Unit, reference: Reference, asked: Annotated[PageIn, Query()]
) -> Response:
    """A ticket's links, those of other tickets to it too."""
    return json_answer((await service.page(tx, actor, reference, asked)).model_dump_json())


@router.post("/{ticket_id}/links", status_code=201, response_model=Data[Link], responses=errors(404, 409, 412, 422))
async def add_link(
    actor: Annotated[Actor, needs("tickets:write")],
    tx: Unit,
    reference: Reference,
    body: LinkIn,
    if_match: IfMatch = None,
) -> Response:
    """Link a ticket to another, which sees it from its side.

    A ticket is a duplicate of one other and follows up one other at the most. Who names a duplicate as the original
    is linked to its original. To close a ticket as a duplicate, name the original in the close.
    """
    return data_answer(await service.add(tx, actor, reference, body, if_match), 201)


@router.delete("/{ticket_id}/links/{link_type}/{other_id}", response_model=Data[Link], responses=errors(404, 412, 422))
async def remove_link(
    actor: Annotated[Actor, needs("tickets:write")],
    tx: Unit,
    reference: Reference,
    link_type: Annotated[LinkType, Path(description="What the ticket in the path is to the other.")],
    other: OtherReference,
    if_match: IfMatch = None,
) -> Response:
    """Remove a link, from either end."""
    return data_answer(await service.remove(tx, actor, reference, link_type, other, if_match))
