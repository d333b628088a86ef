"""The calls on a ticket's comments."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.db.paging import Data, Page, PageIn
from ticketry.tickets.api import Reference
from ticketry.tickets.comments import service
from ticketry.tickets.comments.models import Comment, CommentIn, Visibility
from ticketry.web.conditional import IfMatch
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1/tickets", tags=["comments"], route_class=GuardedRoute)


class CommentsAsked(PageIn):
    """Which comments are asked for."""

    visibility: Visibility | None = None


@router.get("/{ticket_id}/comments", response_model=Page[Comment], responses=errors(404, 422))
async def list_comments(
    actor: Annotated[Actor, needs("tickets:read")],
    tx: Unit,
    reference: Reference,
    asked: Annotated[CommentsAsked, Query()],
) -> Response:
    """A ticket's comments, oldest first."""
    return json_answer((await service.page(tx, actor, reference, asked.visibility, asked)).model_dump_json())


@router.post(
    "/{ticket_id}/comments", status_code=201, response_model=Data[Comment], responses=errors(404, 409, 412, 422)
)
async def add_comment(
    actor: Annotated[Actor, needs("tickets:write")],
    tx: Unit,
    reference: Reference,
    body: CommentIn,
    if_match: IfMatch = None,
) -> Response:
    """Say something on a ticket.

    A user's first public comment is the first response of the SLA. A customer's comment wakes a waiting ticket,
    reopens a resolved one, and a closed one within the workspace's reopen window; later it opens a follow-up ticket.
    """
    return data_answer(await service.add(tx, actor, reference, body, if_match), 201)
