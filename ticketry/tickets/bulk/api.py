"""The call that does many things at once."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, many_units, needs
from ticketry.core.actor import Actor
from ticketry.tickets import examples
from ticketry.tickets.bulk.lanes import Run
from ticketry.tickets.bulk.models import BulkIn, Results
from ticketry.web.idempotency import REPLAYED, in_parts
from ticketry.web.openapi import errors
from ticketry.web.resources import json_answer, resources

router = APIRouter(prefix="/v1/tickets", tags=["bulk"], route_class=GuardedRoute)


@router.post("/bulk", response_model=Results, responses=errors(409, 422))
@many_units
async def bulk(
    actor: Annotated[Actor, needs("tickets:write")],
    request: Request,
    body: Annotated[BulkIn, Body(openapi_examples=examples.BULK)],
) -> Response:
    """Close, reopen, update and comment on up to 100 tickets.

    Each operation is done as by its single call and by itself: one that is refused changes nothing for the others.
    There is a result for each, in order. With an `Idempotency-Key` a retry does what is missing and repeats nothing.
    """
    house = resources(request)
    if request.state.claim is None:
        return _answer(await Run(house, actor, body.operations, None, request.state.request_id).run())
    async with in_parts(house, request.state.claim) as parts:
        run = Run(house, actor, body.operations, parts, request.state.request_id)
        return _answer(await run.run(), REPLAYED if parts.known is not None and not run.did else None)


def _answer(results: list[bytes], headers: dict[str, str] | None = None) -> Response:
    return json_answer(b'{"data":[%s]}' % b",".join(results), 200, headers)
