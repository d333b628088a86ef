"""The calls on webhook endpoints."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs, sends
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page, PageIn
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer, resources
from ticketry.webhooks.endpoints import service, verification
from ticketry.webhooks.endpoints.models import (
    Endpoint,
    EndpointIn,
    EndpointPatch,
    NewEndpoint,
    RotateSecretIn,
    Verdict,
)

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("webhooks:read")]
Writer = Annotated[Actor, needs("webhooks:write")]
WebhookId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
Rotation = Annotated[RotateSecretIn | None, Body()]


def _with_secret(endpoint: NewEndpoint, status: int = 200) -> Response:
    """An answer that shows a secret, this once: a replay of this answer does not hold it."""
    answer = data_answer(endpoint, status, {"Location": f"/v1/webhooks/{endpoint.id}"})
    answer.kept_body = data_answer(endpoint.model_copy(update={"secret": None})).body  # type: ignore[attr-defined]
    return answer


@router.post("", status_code=201, response_model=Data[NewEndpoint], responses=errors(409, 422))
async def create_webhook(actor: Writer, tx: Unit, body: EndpointIn, request: Request) -> Response:
    """Add a webhook. The secret that its messages are signed with is in this answer and nowhere else, ever."""
    return _with_secret(await service.create(tx, actor.workspace_id, body, resources(request).settings), 201)


@router.get("", response_model=Page[Endpoint], responses=errors(422))
async def list_webhooks(actor: Reader, tx: Unit, asked: Annotated[PageIn, Query()]) -> Response:
    """List webhooks, newest first."""
    return json_answer((await service.page(tx, actor.workspace_id, asked)).model_dump_json())


@router.get("/{webhook_id}", response_model=Data[Endpoint], responses=errors(404, 422))
async def get_webhook(actor: Reader, tx: Unit, webhook_id: WebhookId) -> Response:
    """Read a webhook, without its secret."""
    return data_answer(await service.get(tx, actor.workspace_id, webhook_id))


@router.patch("/{webhook_id}", response_model=Data[Endpoint], responses=errors(404, 422))
@router.put("/{webhook_id}", response_model=Data[Endpoint], responses=errors(404, 422))
async def update_webhook(
    actor: Writer, tx: Unit, webhook_id: WebhookId, body: EndpointPatch, request: Request
) -> Response:
    """Change a webhook, or switch it off and on: fields left out stay."""
    settings = resources(request).settings
    return data_answer(await service.update(tx, actor.workspace_id, webhook_id, body, settings))


@router.delete("/{webhook_id}", status_code=204, response_class=Response, responses=errors(404, 422))
async def delete_webhook(actor: Writer, tx: Unit, webhook_id: WebhookId) -> Response:
    """Remove a webhook. What was not sent yet is given up."""
    await service.delete(tx, actor.workspace_id, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate_secret", response_model=Data[NewEndpoint], responses=errors(404, 422))
async def rotate_webhook_secret(actor: Writer, tx: Unit, webhook_id: WebhookId, body: Rotation = None) -> Response:
    """Make a new secret. For `overlap_hours` messages carry a signature of each, so that receivers can change over."""
    hours = 24 if body is None or body.overlap_hours is None else body.overlap_hours
    return _with_secret(await service.rotate_secret(tx, actor.workspace_id, webhook_id, hours))


@router.post("/{webhook_id}/verify", response_model=Data[Verdict], responses=errors(404, 422))
@sends
async def verify_webhook(actor: Writer, webhook_id: WebhookId, request: Request) -> Response:
    """Call the webhook now with a signed `webhook.test`, and say in plain words what is wrong, if anything is.

    It takes as long as the receiver does, at most 30 seconds. An `Idempotency-Key` is not looked at.
    """
    return data_answer(await verification.verify(resources(request), actor.workspace_id, webhook_id))
