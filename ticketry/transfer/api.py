"""The call that exports tickets."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, needs
from ticketry.core.actor import Actor
from ticketry.db.pool import long_unit
from ticketry.transfer import rules, service
from ticketry.transfer.models import ExportAsked
from ticketry.web.openapi import errors
from ticketry.web.resources import resources
from ticketry.web.streams import Stream
from ticketry.web.turns import turn

router = APIRouter(prefix="/v1/tickets", tags=["tickets"], route_class=GuardedRoute)
"""Stands before the tickets' own router, which would take `export` for a ticket's id."""

Reader = Annotated[Actor, needs("tickets:read")]
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All tickets that match. The connection is cut if they cannot be sent to the end.",
        "headers": {
            "X-Total-Count": {
                "description": "How many tickets follow; a client that got fewer got not all.",
                "schema": {"type": "integer", "minimum": 0},
            }
        },
        "content": {
            "application/x-ndjson": {"schema": {"type": "string", "description": "A ticket object a line."}},
            "text/csv": {"schema": {"type": "string", "description": "A line of headings, then a ticket a row."}},
        },
    }
}


@router.get("/export", response_class=Response, responses={**_ANSWER, **errors(422)})
async def export_tickets(
    request: Request,
    actor: Reader,
    asked: Annotated[ExportAsked, Query()],
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Export all tickets that match, as they stand at one moment.

    The conditions are those of the list; there are no pages. NDJSON has the ticket object of `GET
    /v1/tickets/{ticket_id}` in each line; in CSV, cells that a spreadsheet would take for formulas begin with an
    apostrophe.
    """
    house = resources(request)
    assert house.settings.database_url is not None
    format_ = rules.format_of(asked.format, accept)
    async with AsyncExitStack() as stack:
        stack.enter_context(
            turn(house.exports, actor.workspace_id, house.settings.export_limit, code="too_many_exports")
        )
        now = house.clock()
        tx = await stack.enter_async_context(long_unit(house.settings.database_url, now, reads=True))
        found = await service.tickets(tx, actor, asked, format_)
        headers = {
            "Content-Disposition": f'attachment; filename="{rules.file_name(format_, now)}"',
            "X-Total-Count": str(found.total),
        }
        return Stream(found.blocks, stack.pop_all(), rules.MEDIA_TYPES[format_], headers)
