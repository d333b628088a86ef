"""The call on the feed."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.feed import service
from ticketry.feed.models import FeedAsked, FeedPage
from ticketry.web.openapi import errors
from ticketry.web.resources import json_answer, resources

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=GuardedRoute)


@router.get("", response_model=FeedPage, responses=errors(404, 422))
async def read_events(
    actor: Annotated[Actor, needs("events:read")], tx: Unit, request: Request, asked: Annotated[FeedAsked, Query()]
) -> Response:
    """Everything that happened in the workspace, in one order that never changes.

    Send `meta.next_after` as `after` to go on: no event is missed and none comes twice, also while others are being
    written. An event appears as soon as no earlier one can: usually at once. `wait` holds an answer that would be
    empty back until there is news.
    """
    news = resources(request).news
    ends = asyncio.get_running_loop().time() + asked.wait
    while True:
        heard = news.next(actor.workspace_id)
        page = await service.page(tx, actor, asked)
        left = ends - asyncio.get_running_loop().time()
        if page.data or left <= 0 or news.over or await request.is_disconnected():
            return json_answer(page.model_dump_json())
        await tx.rest()
        asked = asked.model_copy(update={"after": page.meta.next_after})
        if not page.meta.has_more:
            await news.wait(heard, left)
