"""The calls on promises: why a ticket's clock stands where it stands, and moving tickets to a policy."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import PlainTextResponse, Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs, one_statement
from ticketry.core.actor import Actor
from ticketry.core.fields import Instant
from ticketry.db.paging import Data
from ticketry.sla.explain import as_json, as_text
from ticketry.sla.policies.api import PolicyId
from ticketry.tickets.api import Reference
from ticketry.tickets.promises import service
from ticketry.tickets.promises.models import Applied, ApplyIn, ExplanationObject
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer

router = APIRouter(prefix="/v1", tags=["sla"], route_class=GuardedRoute)

_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/tickets/{ticket_id}/sla", response_model=Data[ExplanationObject], responses={**errors(404, 422), **_TEXT})
async def explain_sla(
    actor: Annotated[Actor, needs("tickets:read")],
    tx: Unit,
    request: Request,
    reference: Reference,
    at: Annotated[Instant | None, Query(description="As it stood at this instant.")] = None,
) -> Response:
    """Explain a ticket's SLA clock: each interval of its life, whether it counted, and why.

    The sums equal the stored results to the second. With `Accept: text/plain` the answer is for people.
    """
    explanation = await service.explain(tx, actor, reference, at)
    if _wants_text(request.headers.get("accept", "")):
        return PlainTextResponse(as_text(explanation))
    return json_answer(json.dumps({"data": as_json(explanation)}, ensure_ascii=False, separators=(",", ":")))


def _wants_text(accept: str) -> bool:
    """Whether the caller asks for plain text, and not at least as much for JSON: some clients name both always."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        weights[kind] = float(weight) if re.fullmatch(r"[01](\.[0-9]{0,3})?", weight) else 0
    return weights.get("text/plain", 0) > weights.get("application/json", 0)


@router.post("/sla/policies/{policy_id}/apply", response_model=Data[Applied], responses=errors(404, 409, 422))
@one_statement  # each ticket moves by itself: to hold all of them until the last would stop everybody else
async def apply_policy(
    actor: Annotated[Actor, needs("sla:write")],
    tx: Unit,
    policy_id: PolicyId,
    body: Annotated[ApplyIn | None, Body()] = None,
) -> Response:
    """Give open tickets the newest version of a policy. With `dry_run`: tell which would be breached or saved by it."""
    return data_answer(await service.apply(tx, actor, policy_id, bool(body and body.dry_run)))
