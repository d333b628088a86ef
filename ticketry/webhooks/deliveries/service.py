"""Use cases of deliveries: queue what happened, list, send once more."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from ticketry.core.errors import NotFound
from ticketry.core.ids import mint
from ticketry.db.paging import Page, PageIn, page_of
from ticketry.db.pool import Tx
from ticketry.webhooks.deliveries import rules, store
from ticketry.webhooks.deliveries.models import (
    DeliveriesAsked,
    Delivery,
    EndpointDeliveriesAsked,
    NewDelivery,
    Redelivered,
)
from ticketry.webhooks.endpoints import service as endpoints
from ticketry.webhooks.endpoints import store as endpoint_store
from ticketry.webhooks.endpoints.rules import subscribes

LOOKED_AT_ONCE = 10_000
"""Events that one call sends again; seconds are taken whole."""


class Happened(Protocol):
    """What is asked of a settled event."""

    @property
    def workspace_id(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...


async def queue(tx: Tx, events: Iterable[Happened]) -> set[tuple[str, str]]:
    """Queues each event for every endpoint that hears of it; workspace and id of those.

    An endpoint hears of nothing that happened before it was made, and of nothing that settles while it is off.
    """
    happened = list(events)
    listeners = defaultdict(list)
    for listener in await endpoint_store.listening(tx, sorted({one.workspace_id for one in happened})):
        listeners[listener.workspace_id].append(listener)
    new = [
        NewDelivery(one.workspace_id, mint("delivery"), listener.id, one.id)
        for one in happened
        for listener in listeners[one.workspace_id]
        if subscribes(listener.event_types, one.type) and one.created_at >= listener.created_at
    ]
    if new:
        await store.insert(tx, new)
    return {(one.workspace_id, one.endpoint_id) for one in new}


async def page(tx: Tx, workspace_id: str, asked: DeliveriesAsked) -> Page[Delivery]:
    """Deliveries, newest first, each with its attempts."""
    found, total = await store.page(tx, workspace_id, asked)
    return page_of(found, total, PageIn(page=asked.page, per_page=asked.per_page))


async def page_of_endpoint(
    tx: Tx, workspace_id: str, endpoint_id: str, asked: EndpointDeliveriesAsked
) -> Page[Delivery]:
    """The deliveries to one endpoint, newest first."""
    await endpoints.get(tx, workspace_id, endpoint_id)
    return await page(tx, workspace_id, DeliveriesAsked(**asked.model_dump(), webhook_id=endpoint_id))


async def get(tx: Tx, workspace_id: str, delivery_id: str) -> Delivery:
    """One delivery with its attempts."""
    found = await store.get(tx, workspace_id, delivery_id)
    if found is None:
        raise NotFound("delivery_not_found", "Delivery not found")
    return found


async def redeliver(tx: Tx, workspace_id: str, delivery_id: str) -> Delivery:
    """Sends a delivery once more, or at once if it waits for its next try."""
    found = await get(tx, workspace_id, delivery_id)
    await endpoints.switched_on(tx, workspace_id, found.webhook_id)
    await store.repeat(tx, workspace_id, delivery_id)
    return await get(tx, workspace_id, delivery_id)


async def redeliver_since(tx: Tx, workspace_id: str, endpoint_id: str, since: datetime) -> Redelivered:
    """Sends everything since an instant once more, and what was never sent because the endpoint was off."""
    endpoint = await endpoints.switched_on(tx, workspace_id, endpoint_id)
    found, following = await store.events_since(tx, workspace_id, since, endpoint.event_types, LOOKED_AT_ONCE)
    new = [NewDelivery(workspace_id, mint("delivery"), endpoint_id, event_id) for event_id in found]
    queued = await store.insert_or_repeat(tx, new) if new else 0
    return Redelivered(queued=queued, complete=following is None, next_since=following)


async def test(tx: Tx, workspace_id: str, endpoint_id: str) -> Delivery:
    """Queues a test message: it is delivered like an event, but is none, so nobody else hears of it."""
    await endpoints.switched_on(tx, workspace_id, endpoint_id)
    ids = mint("delivery"), mint("evt")
    body = rules.test_body(ids[1], endpoint_id, tx.now)
    await store.insert_test(tx, workspace_id, endpoint_id, ids, rules.TEST_TYPE, body)
    return await get(tx, workspace_id, ids[0])
