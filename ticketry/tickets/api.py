"""The calls on one ticket."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs, one_statement
from ticketry.attachments.models import Attachment
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Page, PageIn
from ticketry.events.models import Event
from ticketry.tickets import examples, rules, service
from ticketry.tickets.models import CloseIn, One, ReopenIn, Resolution, Ticket, TicketIn, TicketPatch
from ticketry.tickets.search import service as search
from ticketry.tickets.search.models import TicketPage, TicketsAsked
from ticketry.web.conditional import IfMatch, etag
from ticketry.web.openapi import errors
from ticketry.web.resources import json_answer

router = APIRouter(prefix="/v1/tickets", tags=["tickets"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("tickets:read")]
Writer = Annotated[Actor, needs("tickets:write")]
Reference = Annotated[
    str,
    Path(
        alias="ticket_id",
        max_length=64,
        pattern=NO_NUL,
        description="The ticket's id or its number.",
        examples=["ticket_abc123xyz789", "TICK-1234"],
    ),
]
Asked = Annotated[PageIn, Query()]


def answer(ticket: Ticket, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A single ticket, with its ETag."""
    content = f'{{"data":{rules.as_json(ticket, ticket.updated_at)}}}'
    return json_answer(content, status, {"ETag": etag(ticket.version), **(headers or {})})


@router.put(
    "/{ticket_id}/close",
    response_model=One,
    responses={
        **errors(404, 409, 412, 422, examples={**examples.MISSING, **examples.ALREADY_CLOSED}),
        **examples.CLOSED,
    },
)
@one_statement
async def close_ticket(
    actor: Writer,
    tx: Unit,
    reference: Reference,
    if_match: IfMatch = None,
    body: Annotated[CloseIn | None, Body(openapi_examples=examples.CLOSE)] = None,
) -> Response:
    """Close a ticket.

    Records what was done, how content the customer is, how long it took and why it happened. SLA results become
    final. A ticket that is closed already answers 409 and stays as it is.
    """
    return answer(await service.close(tx, actor, reference, body or CloseIn(), if_match))


@router.post("", status_code=201, response_model=One, responses=errors(422, 409))
@one_statement
async def create_ticket(actor: Writer, tx: Unit, body: TicketIn) -> Response:
    """Open a ticket."""
    ticket = await service.create(tx, actor, body)
    return answer(ticket, 201, {"Location": f"/v1/tickets/{ticket.id}"})


@router.get("/{ticket_id}", response_model=One, responses=errors(404, 422))
async def get_ticket(actor: Reader, tx: Unit, reference: Reference) -> Response:
    """Read a ticket."""
    ticket = await service.get(tx, actor, reference)
    content = f'{{"data":{rules.as_json(ticket, tx.now)}}}'
    return json_answer(content, 200, {"ETag": etag(ticket.version)})


@router.put("/{ticket_id}/reopen", response_model=One, responses=errors(404, 409, 412, 422))
@one_statement
async def reopen_ticket(
    actor: Writer,
    tx: Unit,
    reference: Reference,
    if_match: IfMatch = None,
    body: Annotated[ReopenIn | None, Body()] = None,
) -> Response:
    """Reopen a closed or resolved ticket. What its closes recorded stays, see its resolutions."""
    return answer(await service.reopen(tx, actor, reference, body or ReopenIn(), if_match))


@router.get("/{ticket_id}/resolutions", response_model=Page[Resolution], responses=errors(404, 422))
async def list_resolutions(actor: Reader, tx: Unit, reference: Reference, asked: Asked) -> Response:
    """What each close of the ticket recorded, oldest first."""
    return json_answer((await service.resolutions(tx, actor, reference, asked)).model_dump_json())


@router.get("/{ticket_id}/events", response_model=Page[Event], responses=errors(404, 422))
async def list_events(actor: Reader, tx: Unit, reference: Reference, asked: Asked) -> Response:
    """The ticket's history, oldest first."""
    return json_answer((await service.history(tx, actor, reference, asked)).model_dump_json())


@router.get("/{ticket_id}/attachments", response_model=Page[Attachment], responses=errors(404, 422))
async def list_attachments(actor: Reader, tx: Unit, reference: Reference, asked: Asked) -> Response:
    """The files of the ticket and of its comments, oldest first."""
    return json_answer((await service.files(tx, actor, reference, asked)).model_dump_json())


@router.get("", response_model=TicketPage, responses=errors(422))
async def list_tickets(actor: Reader, tx: Unit, asked: Annotated[TicketsAsked, Query()]) -> Response:
    """List and search tickets. All conditions hold at once; `total` is exact.

    Follow `meta.next_cursor` to walk through everything: it costs the same at any depth. In the order of creation it
    sees each ticket once, while tickets are created and changed; in other orders a ticket that is changed may move.
    """
    return json_answer(await search.find(tx, actor, asked))


@router.patch("/{ticket_id}", response_model=One, responses=errors(404, 409, 412, 422))
@router.put("/{ticket_id}", response_model=One, responses=errors(404, 409, 412, 422))
async def update_ticket(
    actor: Writer, tx: Unit, reference: Reference, body: TicketPatch, if_match: IfMatch = None
) -> Response:
    """Change a ticket: fields left out stay, `null` clears.

    `tags` and `metadata` are replaced, `custom_fields` are merged. A closed ticket accepts only `tags`,
    `custom_fields`, `metadata`, `internal_note` and being reopened.
    """
    return answer(await service.update(tx, actor, reference, body, if_match))
