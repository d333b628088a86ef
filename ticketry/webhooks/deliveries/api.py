"""The calls on deliveries."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ticketry.accounts.guard import GuardedRoute, Unit, needs
from ticketry.core.actor import Actor
from ticketry.core.fields import NO_NUL
from ticketry.db.paging import Data, Page
from ticketry.web.openapi import errors
from ticketry.web.resources import data_answer, json_answer
from ticketry.webhooks.deliveries import service
from ticketry.webhooks.deliveries.models import (
    DeliveriesAsked,
    Delivery,
    EndpointDeliveriesAsked,
    RedeliverIn,
    Redelivered,
)

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=GuardedRoute)

Reader = Annotated[Actor, needs("webhooks:read")]
Writer = Annotated[Actor, needs("webhooks:write")]
WebhookId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]
DeliveryId = Annotated[str, Path(max_length=64, pattern=NO_NUL)]


@router.get("/deliveries", response_model=Page[Delivery], responses=errors(422))
async def list_deliveries(actor: Reader, tx: Unit, asked: Annotated[DeliveriesAsked, Query()]) -> Response:
    """List deliveries to all webhooks, newest first, each with its attempts."""
    return json_answer((await service.page(tx, actor.workspace_id, asked)).model_dump_json())


@router.get("/deliveries/{delivery_id}", response_model=Data[Delivery], responses=errors(404, 422))
async def get_delivery(actor: Reader, tx: Unit, delivery_id: DeliveryId) -> Response:
    """Read a delivery with its attempts."""
    return data_answer(await service.get(tx, actor.workspace_id, delivery_id))


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=Data[Delivery],
    responses=errors(404, 409, 422),
)
async def redeliver(actor: Writer, tx: Unit, delivery_id: DeliveryId) -> Response:
    """Send a delivery once more, or at once if it waits for its next try."""
    return data_answer(await service.redeliver(tx, actor.workspace_id, delivery_id), 202)


@router.get("/{webhook_id}/deliveries", response_model=Page[Delivery], responses=errors(404, 422))
async def list_deliveries_of_webhook(
    actor: Reader, tx: Unit, webhook_id: WebhookId, asked: Annotated[EndpointDeliveriesAsked, Query()]
) -> Response:
    """List deliveries to a webhook, newest first, each with its attempts."""
    return json_answer((await service.page_of_endpoint(tx, actor.workspace_id, webhook_id, asked)).model_dump_json())


@router.post(
    "/{webhook_id}/redeliver", status_code=202, response_model=Data[Redelivered], responses=errors(404, 409, 422)
)
async def redeliver_since(actor: Writer, tx: Unit, webhook_id: WebhookId, body: RedeliverIn) -> Response:
    """Send everything since an instant once more, also what was never sent because the webhook was off."""
    return data_answer(await service.redeliver_since(tx, actor.workspace_id, webhook_id, body.since), 202)


@router.post("/{webhook_id}/test", status_code=202, response_model=Data[Delivery], responses=errors(404, 409, 422))
async def test_webhook(actor: Writer, tx: Unit, webhook_id: WebhookId) -> Response:
    """Queue a test message of type `webhook.test`. How it went is told by the delivery."""
    return data_answer(await service.test(tx, actor.workspace_id, webhook_id), 202)
